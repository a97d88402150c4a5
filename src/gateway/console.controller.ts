import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Controller, Get, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { type FastifyReply } from 'fastify';
import { EuglenaError } from '../domain/errors.js';

const PAGE = new URL('../console/index.html', import.meta.url);
const INLINE_SCRIPT = /<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/gi;

interface Page {
  readonly html: string;
  readonly policy: string;
}

/** The console: one page, read once, that may run its own scripts and no others. */
@ApiExcludeController()
@Controller()
export class ConsoleController {
  private page: Promise<Page> | undefined;

  @Get()
  async show(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    this.page ??= load();
    try {
      const { html, policy } = await this.page;
      void reply.header('content-security-policy', policy).header('content-type', 'text/html; charset=utf-8');
      return html;
    } catch (error) {
      this.page = undefined;
      throw new EuglenaError('not_found', 'This installation has no console.', { cause: error });
    }
  }
}

async function load(): Promise<Page> {
  const html = await readFile(PAGE, 'utf8');
  const scripts = [...html.matchAll(INLINE_SCRIPT)].map(
    ([, code = '']) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`,
  );
  const policy = [
    "default-src 'none'",
    `script-src 'self' ${scripts.join(' ')}`.trimEnd(),
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');
  return { html, policy };
}
