#!/usr/bin/env node
// The package's command `intelligent-session-worker`, which does what `intelligent-session worker` does: it had its own name
// before `intelligent-session` had more than one subcommand, and scripts that call it go on working.
import { runCommandLine } from './command-line.js';

void runCommandLine(['worker', ...process.argv.slice(2)]);
