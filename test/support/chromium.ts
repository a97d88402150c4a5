import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { installDebianPackage } from './servers/debian-package.js';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** As root in a container there is no sandbox; and a test's browser has nobody to talk to but the test. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A headless Chromium: the one that CHROMIUM_PATH names, else the system's, installed if that may be. */
export async function startChromium(): Promise<Browser> {
  const places = [process.env['CHROMIUM_PATH'] ?? '', ...PLACES];
  const find = () => places.find((place) => place !== '' && existsSync(place));
  if (find() === undefined) installDebianPackage('chromium');
  const executablePath = find();
  if (executablePath === undefined) {
    throw new Error(
      'These tests need Chromium: set CHROMIUM_PATH, or install it (Debian: apt-get install chromium).',
    );
  }
  return chromium.launch({ executablePath, args: FLAGS });
}
