import { createRequire } from 'node:module';
import { IntelligentSessionError } from './errors.js';

/** @ts-ignore an optional peer: where it is not installed, its type is any */
export type PromClient = typeof import('prom-client');
/** @ts-ignore */
export type PromRegistry = import('prom-client').Registry;

/** prom-client, or a coded error where it is not installed. */
export function loadPromClient(): PromClient {
  try {
    // The package is CommonJS, and a bundler takes along what it sees required here. The source, under tsx, has no require().
    return typeof require === 'function'
      ? require('prom-client')
      : createRequire(`${process.cwd()}/package.json`)('prom-client');
  } catch {
    throw new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_METRICS',
      'metrics need prom-client, which is not installed: npm install prom-client',
    );
  }
}
