import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { type GatewayApp, startGateway } from '../support/gateway-app.js';

describe('pages for people', () => {
  let gateway: GatewayApp;
  beforeAll(async () => {
    gateway = await startGateway();
  });
  afterAll(() => gateway.close());

  it('serves the console with a policy that allows its own script only', async () => {
    const page = await request(gateway.origin)
      .get('/')
      .expect(200)
      .expect('content-type', /text\/html/);
    expect(page.headers['content-security-policy']).toMatch(/default-src 'none'.*script-src 'self' 'sha256-/);
    expect(page.text).toContain('Euglena');
    expect(page.text).not.toMatch(/\son\w+=/);
  });

  it('serves Swagger UI and the document that it shows', async () => {
    await request(gateway.origin)
      .get('/docs')
      .redirects(1)
      .expect(200)
      .expect('content-type', /text\/html/);
    const document = await request(gateway.origin).get('/openapi.json').expect(200);
    expect(document.body.paths['/tasks'].post.responses['202']).toBeDefined();
    expect(document.body.components.securitySchemes).toBeDefined();
  });
});
