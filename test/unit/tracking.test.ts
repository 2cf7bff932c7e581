import type { IncomingMessage } from 'node:http';
import { expect } from 'chai';
import { askedPage, automaticPage } from '../../middleware/tracking.js';
import { declaredBots } from '../../middleware/visitor-policy.js';
import { BROWSER } from '../support/site.js';

const requestOf = (url: string, headers: Record<string, string> = {}, more: object = {}) =>
  ({ method: 'GET', url, headers, ...more }) as unknown as IncomingMessage;

const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
const FETCHED = { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' };
const XHTML = { accept: 'text/html, application/xhtml+xml' };

describe('what is a page', () => {
  const pages: [title: string, url: string, headers: Record<string, string>][] = [
    ['a path without an extension', '/news', {}],
    ['an HTML file', '/news.html', {}],
    ['a dot in the last segment, to which the browser navigates', '/wiki/Node.js', NAVIGATION],
    ['a version, to which the browser navigates', '/library/version-2.3.4', NAVIGATION],
    ['a user’s name, to which the browser navigates', '/@jane.doe', NAVIGATION],
    [
      'a dot in the last segment, asked by a browser that sends no Sec-Fetch headers',
      '/wiki/Node.js',
      {
        accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
      },
    ],
    ['a navigation that a service worker passes on', '/wiki/Node.js', { ...NAVIGATION, 'sec-fetch-dest': 'empty' }],
    ['an iframe', '/news', { ...NAVIGATION, 'sec-fetch-dest': 'iframe' }],
    ['a visit that htmx boosts', '/news', { ...FETCHED, 'hx-request': 'true', 'hx-boosted': 'true' }],
    ['a visit of Turbo Drive', '/wiki/Node.js', { ...FETCHED, ...XHTML, 'x-turbo-request-id': '1' }],
    [
      'a visit of Inertia',
      '/news',
      { ...FETCHED, ...XHTML, 'x-inertia': 'true', 'x-requested-with': 'XMLHttpRequest' },
    ],
  ];
  for (const [title, url, headers] of pages)
    it(`is ${title}`, () => {
      expect(automaticPage(true, requestOf(url, headers), true)).to.equal(url);
    });

  const others: [title: string, url: string, headers: Record<string, string>, more?: object][] = [
    ['an asset', '/style.css', {}],
    ['an image of a page', '/photo', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }],
    ['an object of a page', '/drawing', { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'object' }],
    ['what a script fetches', '/api/news', FETCHED],
    ['a fragment for htmx', '/news', { ...FETCHED, 'hx-request': 'true' }],
    ['a fragment for htmx, of a browser without Sec-Fetch headers', '/news', { 'hx-request': 'true' }],
    ['a page for htmx’ history', '/news', { ...FETCHED, 'hx-request': 'true', 'hx-history-restore-request': 'true' }],
    ['a Turbo frame', '/news', { ...FETCHED, ...XHTML, 'turbo-frame': 'news' }],
    ['a part of an Inertia page', '/news', { ...FETCHED, ...XHTML, 'x-inertia-partial-component': 'News' }],
    ['a HEAD request', '/news', NAVIGATION, { method: 'HEAD' }],
    ['a POST request', '/news', NAVIGATION, { method: 'POST' }],
    ['a prefetched page', '/news', { ...NAVIGATION, 'sec-purpose': 'prefetch' }],
    ['a prerendered page', '/news', { ...NAVIGATION, 'sec-purpose': 'prefetch;prerender' }],
    ['what an older browser prefetches', '/news', { purpose: 'prefetch' }],
    ['what Firefox prefetched', '/news', { 'x-moz': 'prefetch' }],
    ['what Turbo prefetches', '/news', { ...FETCHED, ...XHTML, 'x-sec-purpose': 'prefetch' }],
    ['what Safari previews', '/news', { 'x-purpose': 'preview' }],
    ['what htmx preloads', '/news', { ...FETCHED, 'hx-request': 'true', 'hx-boosted': 'true', 'hx-preloaded': 'true' }],
    ['what Next.js prefetches', '/news', { ...FETCHED, 'next-router-prefetch': '1' }],
  ];
  for (const [title, url, headers, more] of others) {
    it(`is not ${title}, unless pageview() is called`, () => {
      const req = requestOf(url, headers, more);
      expect(automaticPage(true, req, true)).to.equal(undefined);
      expect(askedPage(true, req)).to.equal(url);
      expect(askedPage(false, req)).to.equal(url);
    });
  }

  it('is no prefetched page and no HEAD request for a function that says yes to everything', () => {
    expect(automaticPage(() => true, requestOf('/a', { 'sec-purpose': 'prefetch' }), true)).to.equal(undefined);
    expect(automaticPage(() => 'a', requestOf('/a', {}, { method: 'HEAD' }), true)).to.equal(undefined);
  });

  it('is what a function names, where it names something', () => {
    const named = (answer: boolean | string | null | undefined) => {
      const req = requestOf('/api.json?x', FETCHED);
      return [automaticPage(() => answer, req, true), askedPage(() => answer, req)];
    };
    expect(named('news')).to.deep.equal(['news', 'news']);
    expect(named(true)).to.deep.equal(['/api.json?x', '/api.json?x']);
    for (const no of [false, '', null, undefined]) expect(named(no)).to.deep.equal([undefined, '/api.json?x']);
  });

  it('is a route, once it is known; at the end the path where there is none', () => {
    const route = { originalUrl: '/shop/tv', baseUrl: '/shop', route: { path: '/:id' } };
    expect(automaticPage('route', requestOf('/tv', {}, route), false)).to.equal('/shop/:id');
    expect(askedPage('route', requestOf('/tv', {}, route))).to.equal('/shop/:id');
    const unknown = requestOf('/tv', {}, { ...route, route: undefined });
    expect(automaticPage('route', unknown, false)).to.equal(undefined);
    expect(automaticPage('route', unknown, true)).to.equal('/shop/tv');
    expect(askedPage('route', unknown)).to.equal('/shop/tv');
    for (const path of [/x/, ['/:id', '/x']])
      expect(automaticPage('route', requestOf('/tv', {}, { ...route, route: { path } }), false)).to.equal(undefined);
  });
});

describe('a declared bot', () => {
  const isBot = (userAgent?: string) =>
    declaredBots(requestOf('/', userAgent === undefined ? {} : { 'user-agent': userAgent }));

  it('is what says so: crawlers, HTTP libraries, headless browsers', () => {
    const bots = [
      'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
      'axios/1.7',
      'okhttp/4.12.0',
    ];
    expect([...bots, 'curl/8.5.0', BROWSER.replace('Firefox', 'HeadlessChrome')].map(isBot)).to.not.include(false);
  });

  it('is no browser, and no request without a user agent', () => {
    expect([BROWSER, '', undefined].map(isBot)).to.not.include(true);
  });
});
