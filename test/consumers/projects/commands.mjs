// An application's own commands, as an ES module that awaits at its top level: nothing but import() can load it.
const greeting = await Promise.resolve('hello');

export default { greet: ({ payload }) => `${greeting} ${payload}` };
