// What each entry has loaded when it has been imported, each in a process of its own.
import { execFileSync } from 'node:child_process';

const LATE = {
  worker: /intelligent-session\/dist\/lib\/worker\/worker\.js$/,
  bloom: /intelligent-session\/dist\/(lib\/bloom\/redis-bloom|fallback\/plain-bloom)\.js$/,
  nearCache: /intelligent-session\/dist\/lib\/session\/near-cache\.js$/,
  commandLine: /node_modules\/commander\/|\/cli\.js$/,
  listForm: /node_modules\/generic-pool\//,
};
const loaded = {};
for (const entry of ['.', './store', './worker', './bloom', './notifications']) {
  const code = `import(${JSON.stringify(entry.replace('.', 'intelligent-session'))}).then(async () => {
    const { createRequire } = await import('node:module');
    console.log(JSON.stringify(Object.keys(createRequire(${JSON.stringify(import.meta.url)}).cache)));
  })`;
  const files = JSON.parse(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' }));
  loaded[entry] = Object.keys(LATE).filter((name) => files.some((file) => LATE[name].test(file)));
}
console.log(JSON.stringify(loaded));
