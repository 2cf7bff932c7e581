#!/usr/bin/env node
import { runCommandLine } from '../cli.js';

void runCommandLine(process.argv.slice(2));
