import { once } from 'node:events';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import express4 from 'express4';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { type IntelligentRequest, type IntelligentSession, intelligentSession } from '../../lib/index.js';
import { RawVisitor } from '../support/requests.js';
import { Site } from '../support/site.js';

const CODE = 'ERR_INTELLIGENT_SESSION_SERIALIZE';

describe('a session that JSON can’t say', () => {
  let redis: PrivateRedis;
  let sessions: IntelligentSession;
  let site: Site;
  let errors: unknown[];

  before(async () => {
    redis = await startPrivateRedis();
  });

  beforeEach(() => {
    errors = [];
  });

  afterEach(async () => {
    await site?.close();
    await sessions?.close();
  });

  after(() => redis?.stop());

  const wrong = {
    bigint: () => 1n,
    circular: () => {
      const one: { self?: unknown } = {};
      one.self = one;
      return one;
    },
  };
  const set = (req: object, value: unknown) => Object.assign((req as IntelligentRequest).session, { value });

  async function openShop(app: Express, maxAge?: number): Promise<RawVisitor> {
    sessions = intelligentSession({
      redis: redis.url,
      secret: 'test',
      session: { cookie: maxAge === undefined ? {} : { maxAge } },
    });
    app.set('env', 'test').use(sessions); // Express prints errors otherwise
    app.get('/set/:value', (req, res) => {
      set(req, req.params.value);
      res.send('ok');
    });
    app.get('/value', (req, res) => void res.json((req.session as { value?: string }).value ?? null));
    app.get('/wrong/:what', (req, res) => {
      set(req, wrong[req.params.what as keyof typeof wrong]());
      res.send('ok');
    });
    app.get('/throws/:what', (req) => {
      set(req, wrong[req.params.what as keyof typeof wrong]());
      throw Object.assign(new Error('theirs'), { code: 'THEIRS' });
    });
    app.get('/later/:what', async (req, res) => {
      await turn();
      set(req, wrong[req.params.what as keyof typeof wrong]());
      // outside every promise of the router's
      Readable.from(['streamed']).pipe(res);
    });
    app.get('/save/:what', (req, res, next) => {
      set(req, wrong[req.params.what as keyof typeof wrong]());
      setImmediate(() => req.session.save((error) => (error ? next(error) : res.send('ok'))));
    });
    app.get('/streamed', (req, res) => {
      set(req, wrong.bigint());
      res.write('first ');
      res.end('last');
    });
    app.use((error: Error & { code?: string }, req: Request, res: Response, next: NextFunction) => {
      errors.push(error);
      if (res.headersSent) next(error);
      else res.status(500).json([error.code, typeof (req.session as { value?: unknown }).value]);
    });
    site = await Site.open(app);
    return new RawVisitor(site);
  }

  for (const [version, create] of [
    ['Express 5', express],
    ['Express 4', express4],
  ] as const)
    for (const maxAge of [undefined, 60_000])
      describe(`on ${version}, ${maxAge ? 'with' : 'without'} a maxAge`, () => {
        for (const what of ['bigint', 'circular'] as const)
          it(`goes to the error handler with a code: ${what}`, async () => {
            const visitor = await openShop(create(), maxAge);
            const type = typeof wrong[what]();
            const first = await visitor.json(`/wrong/${what}`);
            expect(first).to.deep.equal([CODE, type]);
            expect(errors).to.have.lengthOf(1);
            expect((errors[0] as Error).cause).to.be.instanceOf(TypeError);
            await visitor.send('/set/before');
            expect(await visitor.json(`/wrong/${what}`)).to.deep.equal([CODE, type]);
            expect(await visitor.json('/value'), 'what was saved').to.equal('before');
          });

        it('goes to the callback of req.session.save()', async () => {
          const visitor = await openShop(create(), maxAge);
          expect(await visitor.json('/save/circular')).to.deep.equal([CODE, 'object']);
          await visitor.send('/set/before');
          expect(await visitor.json('/save/bigint')).to.deep.equal([CODE, 'bigint']);
          expect(await visitor.json('/value'), 'what was saved').to.equal('before');
        });

        it('leaves the answer to an error handler that is answering another error, and is an event', async () => {
          const visitor = await openShop(create(), maxAge);
          const fault = once(sessions.serving, 'fault');
          expect(await visitor.json('/throws/bigint')).to.deep.equal(['THEIRS', 'bigint']);
          expect((await fault)[0]).to.have.property('code', CODE);
        });

        it('goes there from a stream that is piped into the response', async () => {
          const visitor = await openShop(create(), maxAge);
          await visitor.send('/set/before');
          const answer = await visitor.send('/later/bigint').then(
            ({ status }) => status,
            () => 'cut off',
          );
          // the head had gone: the answer is cut off rather than told to be whole
          expect(answer).to.equal('cut off');
          expect(errors[0]).to.have.property('code', CODE);
          expect(await visitor.json('/value')).to.equal('before');
        });

        it('cuts off an answer whose head has gone', async () => {
          const visitor = await openShop(create(), maxAge);
          await visitor.send('/set/before');
          const answer = await visitor.send('/streamed').then(
            () => 'whole',
            () => 'cut off',
          );
          expect(answer).to.equal('cut off');
          expect(errors.at(-1)).to.have.property('code', CODE);
          expect(await visitor.json('/value')).to.equal('before');
        });
      });

  it('goes to `next` on plain node:http', async () => {
    sessions = intelligentSession({ redis: redis.url, secret: 'test' });
    const server = createServer((req, res) =>
      sessions(req, res, (error) => {
        if (error) {
          res.statusCode = 500;
          res.end((error as { code?: string }).code);
          return;
        }
        if (req.url === '/wrong') set(req, 1n);
        res.end('ok');
      }),
    );
    site = await Site.open(server.listeners('request')[0] as Express);
    const visitor = new RawVisitor(site);
    expect(await visitor.send('/')).to.include({ status: 200, body: 'ok' });
    expect(await visitor.send('/wrong')).to.include({ status: 500, body: CODE });
  });

  it('is the only error that is taken: another of res.end() stays as it is', async () => {
    const app = express();
    app.get('/end', (_req, res) => void res.end(5 as never));
    const visitor = await openShop(app);
    const direct = await visitor.send('/end');
    expect(direct.status).to.equal(500);
    expect(direct.body).to.not.contain(CODE);
  });
});
