import { expect } from 'chai';
import { OptionError } from '../../lib/errors/errors.js';
import { Cluster, type ClusterNode } from 'ioredis';
import { createCluster } from 'redis';
import { nodesOf } from '../../lib/redis/cluster-options.js';
import { targetOfUrls } from '../../lib/redis/target-of-urls.js';
import { targetOf } from '../../lib/redis/open-target.js';

describe('where the bin’s Redis is', () => {
  it('is a URL as it stands', () => {
    expect(targetOfUrls('redis://h:1', {})).to.equal('redis://h:1');
  });

  it('is a master that Sentinels watch, with the credentials of the first URL', () => {
    expect(targetOfUrls('redis://u:p%40ss@a:1,redis://b', { sentinel: 'main' })).to.deep.equal({
      sentinels: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
      ],
      name: 'main',
      username: 'u',
      password: 'p@ss',
    });
  });

  it('is the database of the first URL, where Sentinels name the master; a Cluster has none to choose', () => {
    expect(targetOfUrls('redis://a:1/2,redis://b', { sentinel: 'main' })).to.have.property('db', 2);
    expect(targetOfUrls('redis://a:1/0', { cluster: true })).to.be.instanceOf(Cluster);
    expect(() => targetOfUrls('redis://a:1/2', { cluster: true })).to.throw(OptionError, 'database 0');
  });

  it('is a Cluster, by some of its nodes, over TLS where the URL says so; nothing is connected yet', () => {
    const cluster = targetOfUrls('rediss://:secret@a:1,rediss://b:2', { cluster: true }) as Cluster;
    expect(cluster.status).to.equal('wait');
    expect(cluster.options.redisOptions).to.deep.equal({ password: 'secret', tls: {} });
    expect(targetOf(cluster).address()).to.not.contain('secret');
  });

  it('with Sentinels is reached by TLS where the URLs say so, and nowhere half', () => {
    expect(targetOfUrls('rediss://:secret@a:1,rediss://b:2', { sentinel: 'main' })).to.have.deep.property('tls', {});
    for (const urls of ['redis://a,rediss://b', 'rediss://a,redis://b'])
      for (const how of [{ sentinel: 'main' }, { cluster: true }])
        expect(() => targetOfUrls(urls, how), urls).to.throw(OptionError, '--redis: all URLs');
  });

  it('refuses what is no URL', () => {
    for (const url of ['nothing', 'host:1', 'redis://a,b', 'http://a'])
      expect(() => targetOfUrls(url, { cluster: true }), url)
        .to.throw(OptionError, '--redis')
        .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
  });
});

describe('a Cluster’s nodes, as the caller’s client has them', () => {
  const ofIoredis = (...nodes: (string | number | object)[]) =>
    nodesOf(new Cluster(nodes as ClusterNode[], { lazyConnect: true }));
  it('is a node of node-redis’ Cluster, also by an IPv6 address', () => {
    const { nodes } = nodesOf(createCluster({ rootNodes: [{ url: 'redis://[::1]:7000' }] }) as unknown as Cluster);
    expect(nodes[0]).to.include({ host: '::1', port: 7000 });
  });

  const optionsOfNodeRedis = (...rootNodes: { url: string }[]) =>
    nodesOf(createCluster({ rootNodes }) as unknown as Cluster);

  it('are all spoken to by TLS where one of them is', () => {
    const given = [
      ofIoredis('rediss://:secret@a:1', 'b:2'),
      ofIoredis({ host: 'a' }, { host: 'b', tls: {} }),
      optionsOfNodeRedis({ url: 'redis://a:1' }, { url: 'rediss://b:2' }),
      optionsOfNodeRedis({ url: 'rediss://a:1' }, { url: 'redis://b:2' }),
    ];
    for (const { options } of given) expect(options.redisOptions?.tls, JSON.stringify(options)).to.be.an('object');
  });

  it('get time-outs as numbers where the caller gave texts', () => {
    const redisOptions = { connectTimeout: '1000', commandTimeout: '150', username: '7' };
    const given = new Cluster([{ host: 'a' }], { lazyConnect: true, redisOptions: redisOptions as never });
    expect(nodesOf(given).options.redisOptions).to.include({
      connectTimeout: 1000,
      commandTimeout: 150,
      username: '7',
    });
  });

  it('may be a port, host:port, or a URL without TLS', () => {
    for (const node of [7000, '7000', 'localhost:7000', '127.0.0.1:7000', '//a:1', 'redis://a', { host: 'a' }])
      expect(ofIoredis(node).options.redisOptions?.tls, String(node)).to.equal(undefined);
  });
});
