require('reflect-metadata');
const { Controller, Get, Module, Req } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const { intelligentSession } = require('intelligent-session');
const { answer, visit } = require('./visit.cjs');

// decorators by hand: no compiler is what this is about
class Home {
  get(req) {
    return answer(req);
  }
}
Controller()(Home);
Get('/')(Home.prototype, 'get', Object.getOwnPropertyDescriptor(Home.prototype, 'get'));
Req()(Home.prototype, 'get', 0);
class Site {}
Module({ controllers: [Home] })(Site);

async function main() {
  const sessions = intelligentSession({ secret: 'consumer', worker: 'embedded' });
  const app = await NestFactory.create(Site, { logger: ['error'] });
  app.use(sessions);
  await app.listen(0, '127.0.0.1');
  console.log(JSON.stringify({ answers: await visit(app.getHttpServer(), sessions) }));
}
main();
