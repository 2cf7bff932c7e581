#!/usr/bin/env node
// The package's command `intelligent-session`: its first argument says what to do (`worker`, `acl`). The command
// `intelligent-session-worker` is an older name for `intelligent-session worker`.
import { runCommandLine } from './command-line.js';

void runCommandLine(process.argv.slice(2));
