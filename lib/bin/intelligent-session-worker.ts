#!/usr/bin/env node
// The worker's bin before there were other commands: `intelligent-session worker` under its old name.
import { runCommandLine } from './command-line.js';

void runCommandLine(['worker', ...process.argv.slice(2)]);
