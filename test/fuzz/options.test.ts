import { expect } from 'chai';
import fc from 'fast-check';
import { optionsSchema as bloomSchema, resolveBloomOptions, resolveShape } from '../../lib/bloom/bloom-options.js';
import { targetOfUrls } from '../../lib/redis/target-of-urls.js';
import { resolveStoreOptions, schema as storeSchema } from '../../lib/session/options.js';
import { resolveWorkerOptions, schema as workerSchema } from '../../lib/worker/options.js';
import { schema as middlewareSchema } from '../../middleware/options.js';
import { resolveOptions } from '../../middleware/resolve-options.js';
import { pageNames } from '../../middleware/page-name.js';
import { anyText, coded, damaged, fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.js';

const CODED = /^ERR_INTELLIGENT_SESSION_(OPTION|SECRET|ARGUMENT)$/;
const nothing = () => {};
const anyUrl = damaged(
  fc.constantFrom(
    'redis://user:s3cr3t%20x@127.0.0.1:6379/1?keyPrefix=a:',
    'rediss://[::1]:7000',
    '/tmp/redis.sock',
    'unix:///x',
  ),
);
const anyValue = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSparseArray: true,
  }),
  fc.constantFrom<unknown[]>(
    1,
    0,
    -1,
    2 ** 31,
    2 ** 53,
    Number.NaN,
    1e-9,
    true,
    'stream',
    'merge',
    '1/4',
    nothing,
    () => ({}),
    Symbol('x'),
    [],
    {},
    ['a'.repeat(16)],
  ),
  anyText(20),
  anyUrl,
);
/** Some options of those there are, and sometimes one that there is not. */
const of = (...names: string[]): fc.Arbitrary<unknown> =>
  fc.oneof(
    anyValue,
    ...Array.from({ length: 8 }, () =>
      fc
        .array(
          fc.tuple(
            fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: anyText(8) }),
            anyValue,
          ),
          { maxLength: 3 },
        )
        .map((pairs) => Object.fromEntries(pairs)),
    ),
  );
const namesOf = ({ entries }: { entries: object }): string[] => Object.keys(entries);
const store = of(...namesOf(storeSchema));
const worker = of(...namesOf(workerSchema));
const middleware = of(...namesOf(middlewareSchema));
const bloom = of(...namesOf(bloomSchema));

describe('fuzz: options', () => {
  const resolvers: [title: string, options: fc.Arbitrary<unknown>, resolve: (options: never) => unknown][] = [
    ['of the store', store, resolveStoreOptions],
    ['of a worker', worker, resolveWorkerOptions],
    ['of the middleware', middleware, resolveOptions],
    ['of a Bloom filter', bloom, resolveBloomOptions],
    ['of a Bloom filter’s shape', bloom, resolveShape],
  ];
  for (const [title, options, resolve] of resolvers)
    it(`${title} are taken, or refused by a coded error in one line`, async function () {
      this.timeout(FUZZ_TIMEOUT_MS);
      await fuzz(
        options,
        async (given) => {
          const resolved = await coded(() => {
            try {
              return resolve(given as never);
            } catch (error) {
              const { message } = error as Error;
              expect(message.length).to.be.below(700); // the names of all options, and no more of what was given than a line
              expect(message).to.not.match(/[\0-\x1f]/);
              throw error;
            }
          }, CODED);
          if (resolved !== undefined) expect(resolved).to.be.an('object');
        },
        { examples: [{ ['x'.repeat(100_000)]: 1 }, { 'a\u001b[2J': 1 }, { shard: '\0' }] },
      );
    });

  it('that say where Redis is, are a place or a coded error that has no password', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    await fuzz(
      fc.tuple(anyUrl, fc.boolean(), fc.option(anyText(6), { nil: undefined })),
      async ([urls, cluster, sentinel]) => {
        const place = await coded(() => {
          try {
            return targetOfUrls(urls, { cluster, ...(sentinel !== undefined && { sentinel }) });
          } catch (error) {
            expect((error as Error).message).to.not.contain('s3cr3t');
            throw error;
          }
        }, CODED);
        if (typeof (place as { disconnect?: unknown })?.disconnect === 'function')
          (place as { disconnect(): void }).disconnect();
      },
      // together, user and password could be decoded
      { examples: [['redis://u%:0er:s3cr3t%20x@127.0.0.1:6379/1', true, undefined]] },
    );
  });

  it('that name parameters of the query make names for any text', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    await fuzz(fc.tuple(fc.array(anyText(4)), anyText(200)), ([query, text]) => {
      const name = pageNames({ query })(text);
      expect(Buffer.byteLength(name)).to.be.at.most(1024);
    });
  });
});
