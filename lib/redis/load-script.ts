import { readFileSync } from 'node:fs';

/** The text of a .lua file that stands beside the caller's module. */
export const loadScript = (file: string, beside: string): string => readFileSync(new URL(file, beside), 'utf8');
