import { expect } from 'chai';
import fc from 'fast-check';
import { parseCombos } from '../../lib/worker/command-line-files.js';
import { anyText, coded, damaged, fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.js';

const combos = fc.array(fc.record({ name: anyText(8), pages: fc.array(anyText(8), { maxLength: 4 }) }), {
  maxLength: 4,
});
const file = fc.oneof(
  combos.map((list) => JSON.stringify(list)),
  damaged(combos.map((list) => JSON.stringify(list))),
  fc.json(),
  anyText(80),
);

describe('fuzz: a combos file', () => {
  it('is a list of combos, or a coded error that repeats nothing of it', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    const key = 'BEGIN-PRIVATE-KEY';
    await fuzz(
      file,
      async (text) => {
        let refused = '';
        const list = await coded(() => {
          try {
            return parseCombos(text, 'combos.json');
          } catch (error) {
            refused = (error as Error).message;
            throw error;
          }
        }, /^ERR_INTELLIGENT_SESSION_OPTION$/);
        if (list) expect(list).to.deep.equal(JSON.parse(text));
        expect(refused)
          .to.not.contain(key)
          .and.not.match(/[\0-\x1f]/);
      },
      {
        examples: [
          key,
          `{"${key}":1}`,
          `[{"name":"${key}","pages":"${key}"}]`,
          `[{"name":"a","pages":[],"${key}":1}]`,
          '',
          'null',
          '[1]',
        ],
      },
    );
  });
});
