const { reporters } = require('mocha');

/** Prints what mocha's own reporter prints, and why a test that is run once more (.mocharc.cjs) failed the first time. */
module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const failed = [];
    runner.on('retry', (test, error) => {
      const text = `${test.fullTitle()}\n${error.stack ?? error.message}`;
      failed.push(text);
      console.log(`    failed, and is run once more: ${text}`);
    });
    runner.once('end', () => {
      if (failed.length > 0) console.log(`  ${failed.length} failed at first:\n\n  ${failed.join('\n\n  ')}\n`);
    });
  }
};
