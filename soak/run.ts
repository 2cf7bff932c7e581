import { Command, InvalidArgumentError, Option } from 'commander';
import { describe } from './checker.js';
import { soak } from './soak.js';

const positive = (text: string): number => {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError('should be a number above 0');
  return number;
};
const TOLD = 10;

const command = new Command('soak')
  .description('Runs sites on one Redis under load and faults, and checks that nothing acknowledged was lost.')
  .option('--minutes <number>', 'how long', positive, 3)
  .option('--processes <number>', 'app processes', positive, 3)
  .option('--visitors <number>', 'each with a session, one or two requests at once', positive, 24)
  .option('--seed <number>', 'the choices of operations and faults', Number, Date.now() % 1_000_000)
  .addOption(new Option('--save-mode <mode>', 'of the store').choices(['merge', 'overwrite']).default('merge'))
  .addOption(new Option('--faults <switch>', 'inject faults').choices(['on', 'off']).default('on'))
  .parse();

const { minutes, processes, visitors, seed, saveMode, faults } = command.opts();
const options = { processes, visitors, seed, saveMode };
process.stdout.write(`seed ${seed}, ${minutes} min, ${processes} processes, ${visitors} visitors, ${saveMode}\n`);
const verdict = await soak({ ...options, ms: minutes * 60_000, faults: faults === 'on' });

const { acknowledged, failed, unknown } = verdict.operations;
const all = [...verdict.faults.values()].reduce((sum, one) => sum + one, 0);
process.stdout.write(
  [
    `${acknowledged + failed + unknown} operations: ${acknowledged} acknowledged, ${failed} failed, ${unknown} unknown`,
    `${all} faults: ${[...verdict.faults].map(([name, times]) => `${name} ${times}`).join(', ') || 'none'}`,
    `${verdict.violations.length} violations`,
    ...verdict.violations.slice(0, TOLD).map((violation) => `  ${describe(violation)}`),
    ...(verdict.violations.length > TOLD ? [`  and ${verdict.violations.length - TOLD} more`] : []),
    '',
  ].join('\n'),
);
process.exitCode = verdict.violations.length > 0 ? 1 : 0;
