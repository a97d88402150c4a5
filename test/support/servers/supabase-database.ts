import { readdirSync, readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { startPostgres } from './postgres-server.js';

export type Row = Record<string, unknown>;
export type Query = (sql: string, values?: readonly unknown[]) => Promise<Row[]>;

/** A Postgres with what every Supabase project has, and this project's migrations. */
export interface SupabaseDatabase {
  /** Runs `work` in a transaction, which is rolled back when `work` throws. */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const MIGRATIONS = new URL('../../../supabase/migrations/', import.meta.url);

/** The parts of a Supabase project that migrations build on, with its generous default grants. */
const PROJECT = `
  create schema auth;
  create function auth.uid() returns uuid language sql stable as
    $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
  grant usage on schema public, auth to anon, authenticated, service_role;
  alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
  alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
`;
/** Roles belong to the whole server, which may have them already. */
const ROLES = [
  ['anon', ''],
  ['authenticated', ''],
  ['service_role', 'bypassrls'],
].map(
  ([name, options]) => `do $$ begin
      perform pg_advisory_xact_lock(20260101);
      if not exists (select from pg_roles where rolname = '${name}') then
        create role ${name} nologin noinherit ${options};
      end if;
    end $$;`,
);

/** The migrations, each as it is. */
export function migrations(): string[] {
  const files = readdirSync(MIGRATIONS).filter((name) => name.endsWith('.sql'));
  return files.sort().map((name) => readFileSync(new URL(name, MIGRATIONS), 'utf8'));
}

/** Postgres inside this process. One connection: its transactions come one after the other. */
export async function openPglite(): Promise<SupabaseDatabase> {
  const database = await PGlite.create();
  for (const sql of [...ROLES, PROJECT, ...migrations()]) await database.exec(sql);
  return {
    transaction: (work) =>
      database.transaction((tx) =>
        work(async (sql, values) => (await tx.query<Row>(sql, [...(values ?? [])])).rows),
      ),
    close: () => database.close(),
  };
}

/** A database of its own on a Postgres server, with up to 20 transactions at once. */
export async function openPostgres(): Promise<SupabaseDatabase> {
  const server = await startPostgres();
  const name = `euglena_${randomUUID().replaceAll('-', '')}`;
  const administer = async (sql: string) => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  await administer(`create database ${name}`);
  const address = new URL(server.url);
  address.pathname = name;
  const pool = new pg.Pool({ connectionString: address.href, max: 20 });
  for (const sql of [...ROLES, PROJECT, ...migrations()]) await pool.query(sql);
  return {
    transaction: (work) => inTransaction(pool, work),
    close: async () => {
      await pool.end();
      await administer(`drop database ${name}`);
      await server.stop();
    },
  };
}

async function inTransaction<T>(pool: pg.Pool, work: (query: Query) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const done = await work(async (sql, values) => (await client.query<Row>(sql, [...(values ?? [])])).rows);
    await client.query('commit');
    return done;
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}
