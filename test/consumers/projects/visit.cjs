// What every project here does: a site, one visitor who comes twice, and a clean end.
const { once } = require('node:events');

/** Gives what the site answers to each visit; closes the server and then the sessions. */
exports.visit = async function visit(server, sessions) {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${server.address().port}/`;
  const headers = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0' };
  const first = await fetch(url, { headers });
  headers.cookie = first.headers.get('set-cookie').split(';')[0];
  const second = await fetch(url, { headers });
  const answers = [await first.json(), await second.json()];
  server.close();
  server.closeAllConnections();
  await sessions.close();
  return answers;
};

exports.answer = async function answer(req) {
  const seen = await req.intelligence.pageview();
  req.session.visits = (req.session.visits ?? 0) + 1;
  return { pages: seen?.totalPages, visits: req.session.visits };
};
