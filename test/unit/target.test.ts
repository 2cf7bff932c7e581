import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';

const root = new URL('../../', import.meta.url);
const sources = ['lib', 'middleware', 'fallback'].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${folder}/${file}`),
);
/** What tells a Cluster from one server, as code asks it; types, texts and options' names do not. */
const ASKS = /isCluster\b|instanceof Cluster|new Cluster\b|client\.nodes\(|calculateSlot\(|\.sentinels\b/;

describe('where Redis is', () => {
  it('is asked only where the target is made, and of keys that are to share a slot', () => {
    const files = sources.filter((file) =>
      readFileSync(new URL(file, root), 'utf8')
        .split('\n')
        .some((line) => !/^\s*(\/\/|\*|\/\*)/.test(line) && ASKS.test(line)),
    );
    expect(files.toSorted()).to.deep.equal([
      'lib/redis/cluster-options.ts',
      'lib/redis/cluster.ts',
      'lib/redis/keys.ts', // besideKey(): a key in another's slot
      'lib/redis/open-target.ts',
      'lib/redis/sentinel-watch.ts',
      'lib/redis/target-of-urls.ts', // the command line's --cluster
    ]);
  });
});
