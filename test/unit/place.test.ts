import { expect } from 'chai';
import type { Cluster } from 'ioredis';
import { addressOf } from '../../lib/redis/connect.js';
import { placeOf } from '../../lib/redis/place.js';

describe('where the bin’s Redis is', () => {
  it('is a URL as it stands', () => {
    expect(placeOf('redis://h:1', {})).to.equal('redis://h:1');
  });

  it('is a master that Sentinels watch, with the credentials of the first URL', () => {
    expect(placeOf('redis://u:p%40ss@a:1,redis://b', { sentinel: 'main' })).to.deep.equal({
      sentinels: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
      ],
      name: 'main',
      username: 'u',
      password: 'p@ss',
    });
  });

  it('is a Cluster, by some of its nodes, over TLS where the URL says so; nothing is connected yet', () => {
    const cluster = placeOf('rediss://:secret@a:1,rediss://b:2', { cluster: true }) as Cluster;
    expect(cluster.status).to.equal('wait');
    expect(cluster.options.redisOptions).to.deep.equal({ password: 'secret', tls: {} });
    expect(addressOf(cluster)).to.not.contain('secret');
  });

  it('refuses what is no URL', () => {
    for (const url of ['nothing', 'host:1', 'redis://a,b', 'http://a'])
      expect(() => placeOf(url, { cluster: true }), url)
        .to.throw(TypeError, '--redis')
        .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
  });
});
