module.exports = {
  spec: ['test/**/*.test.ts'],
  'node-option': ['import=tsx', 'unhandled-rejections=strict'],
  require: ['test/support/hooks.ts'],
  reporter: 'test/support/reporter.cjs',
  timeout: 20000,
  exit: true,
  parallel: true,
  jobs: 2,
  'forbid-only': true,
  // A shared machine stands still for seconds now and then. In CI a test that fails is run once more, and the reporter prints both.
  retries: process.env.CI ? 1 : 0,
};
