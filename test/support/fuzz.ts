import { expect } from 'chai';
import fc from 'fast-check';

/** Cases of each property: 5,000, or what FUZZ_RUNS says (`npm run fuzz`: 100,000). */
export const RUNS = Number(process.env.FUZZ_RUNS ?? 5_000);

/** How long so many cases may take on a slow machine: mocha's time limit. */
export const FUZZ_TIMEOUT_MS = 30_000 + RUNS * 60;

/** A case that takes longer is taken to hang, however busy the machine is. */
const HANG_MS = 10_000;

/** Calls `act` with `runs` cases, which it must not fail on; before them with `examples`, which failed once. */
export async function fuzz<Case>(
  cases: fc.Arbitrary<Case>,
  act: (one: Case) => unknown,
  {
    examples = [],
    runs = RUNS,
    timeoutMs = FUZZ_TIMEOUT_MS,
  }: { examples?: readonly NoInfer<Case>[]; runs?: number; timeoutMs?: number } = {},
): Promise<void> {
  const property = fc.asyncProperty(cases, async (one) => {
    const started = performance.now();
    await act(one);
    expect(performance.now() - started, 'ms of one case').to.be.below(HANG_MS);
  });
  await fc.assert(property, {
    numRuns: Math.ceil(runs) + examples.length,
    examples: examples.map((one): [Case] => [one]),
    timeout: HANG_MS,
    // a smaller case than the one that failed is looked for as long as there is time; the message has its seed
    interruptAfterTimeLimit: timeoutMs / 2,
    markInterruptAsFailure: true,
  });
}

/** What `act` gives, or undefined where it throws an error with a code of ours; any other error is thrown. */
export async function coded<T>(act: () => T | Promise<T>, code = /^ERR_INTELLIGENT_SESSION_/): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (code.test(String((error as { code?: unknown })?.code))) return undefined;
    throw error;
  }
}

/** Any UTF-16 code unit, among them lone surrogates; more often a printable one, or one that our formats give a meaning. */
const unit = fc.oneof(
  fc.constantFrom(...':@{}%*[]"\\,.~-_#/?=; \0\n\u001b\u2028\ud83d\ude00éAa0'.split('')),
  fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)),
  fc.integer({ min: 32, max: 126 }).map((c) => String.fromCharCode(c)),
);
export const anyText = (maxLength = 40): fc.Arbitrary<string> => fc.string({ unit, maxLength });

type Edit = readonly [at: number, remove: number, insert: string];
const edits = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 4 }), anyText(4)), { maxLength: 4 });

/** A valid text with up to four places changed; mostly it is no longer valid. */
export const damaged = (valid: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(valid, edits).map(([text, all]) =>
    all.reduce((now, [at, remove, insert]: Edit) => {
      const from = at % (now.length + 1);
      return now.slice(0, from) + insert + now.slice(from + remove);
    }, text),
  );

/** Valid bytes with up to four places changed, often in a header: numbers there may get the lowest or highest value. */
export const damagedBytes = (valid: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom('00000000', 'ffffffff', '0000000000000000', 'ffffffffffffffff', '01000000', '000000000000f07f')
      .map((hex) => Buffer.from(hex, 'hex')),
  );
  const change = fc.tuple(fc.oneof(fc.nat({ max: 140 }), fc.nat()), fc.boolean(), piece);
  return fc.tuple(valid, fc.array(change, { maxLength: 4 })).map(([bytes, all]) =>
    all.reduce((now, [at, insert, data]) => {
      const from = at % (now.length + 1);
      return Buffer.concat([now.subarray(0, from), data, now.subarray(from + (insert ? 0 : data.length))]);
    }, bytes),
  );
};
