import { expect, it } from '@jest/globals';
import { RouteMethods } from './route-methods.js';

it('knows the methods of an address', () => {
  const routes = new RouteMethods();
  routes.add('/tasks', 'POST');
  routes.add('/tasks', ['GET', 'HEAD']);
  routes.add('/tasks/:id', 'GET');
  routes.add('/docs/a.b', 'GET');
  routes.add('*', 'OPTIONS');
  expect(routes.allowed('/tasks?a=1')).toEqual(['GET', 'HEAD', 'POST']);
  expect(routes.allowed('/tasks/a')).toEqual(['GET']);
  expect(routes.allowed('/tasks/a/b')).toEqual([]);
  expect(routes.allowed('/tasks/')).toEqual([]);
  expect(routes.allowed('/docs/axb')).toEqual([]);
  expect(routes.allowed('/')).toEqual([]);
});
