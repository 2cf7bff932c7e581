import { Command } from 'commander';
import { OptionError, safeText } from '../errors/errors.js';

/** The subcommands of `intelligent-session`, by name. Only one that the arguments name is loaded. */
const subcommands: Readonly<Record<string, { about: string; load(): Promise<Command> }>> = {
  worker: { about: 'runs a worker', load: async () => (await import('../worker/cli.js')).workerCommand() },
  acl: { about: 'prints the ACL rule of a role', load: async () => (await import('../acl/cli.js')).aclCommand() },
};

/** Runs `intelligent-session` with these arguments. A mistake or a fault is one line on stderr, and exit code 1. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  try {
    const [name] = args; // options and `help` are left to commander
    if (name !== undefined && !/^-|^help$/.test(name) && !Object.hasOwn(subcommands, name))
      throw new OptionError(
        `There is no command ${JSON.stringify(name.slice(0, 40))}. There are: ${Object.keys(subcommands).join(', ')}`,
      );
    const program = new Command('intelligent-session').description('What runs beside sites with intelligent-session.');
    for (const [known, { about, load }] of Object.entries(subcommands))
      program.addCommand(args.includes(known) ? await load() : new Command(known).description(about));
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    process.stderr.write(`intelligent-session: ${safeText(error instanceof Error ? error.message : 'it failed')}\n`);
    process.exit(1);
  }
}
