-- The daily tick quota of Euglena: one ledger, and the functions through which the gateway uses it.
-- What each function does, and how to apply this file: ../README.md.

-- A row for each task: what it reserved when it was submitted, and what it used once it is settled. Until then it is
-- charged with all that it reserved. A row belongs to the UTC day on which its reservation was made.
create table public.tick_ledger (
  task_id text primary key,
  user_id uuid not null,
  day date not null,
  reserved integer not null check (reserved >= 0),
  used integer check (used between 0 and reserved),
  charge integer not null generated always as (coalesce(used, reserved)) stored,
  reserved_at timestamptz not null,
  settled_at timestamptz,
  check ((used is null) = (settled_at is null))
);

comment on table public.tick_ledger is 'What tasks of Euglena reserved and used, in ticks. Its functions alone write it.';

-- With the charge in it, the sum of a day reads this index alone and skips the tasks that cost nothing, however many of
-- those a user submits and cancels.
create index tick_ledger_day on public.tick_ledger (user_id, day, charge);
create index tick_ledger_open on public.tick_ledger (reserved_at, task_id) where used is null;

-- Users read their own rows. The functions below, which run as the owner of the table, are the only ones to write.
alter table public.tick_ledger enable row level security;
create policy "Users read their own ticks" on public.tick_ledger
  for select to authenticated using (user_id = (select auth.uid()));
revoke all on public.tick_ledger from public, anon, authenticated, service_role;
grant select on public.tick_ledger to authenticated, service_role;

-- Reserves ticks for a task if the daily limit covers them. A task with an unsettled reservation keeps it, whatever it asks
-- for now; the reservation of a settled task is made anew, today, in place of its old charge.
create function public.reserve_ticks(
  task_id text,
  user_id uuid,
  ticks integer,
  daily_limit integer,
  out granted boolean,
  out reserved integer,
  out used bigint,
  out resets_at timestamptz
)
  language plpgsql volatile security definer
  set search_path = ''
  set lock_timeout = '2s'
as $$
declare
  moment timestamptz;
  today date;
  replaced integer;
begin
  if task_id is null or user_id is null or daily_limit is null or ticks is null or ticks < 0 then
    raise exception 'reserve_ticks needs a task, a user, a limit and a number of ticks' using errcode = '22023';
  end if;
  -- Each statement must see what others committed before it began. Stricter isolation would hide that.
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'reserve_ticks needs a transaction that is read committed' using errcode = '25001';
  end if;
  -- One reservation of a user at a time. Those of different users do not wait for each other.
  perform pg_advisory_xact_lock(hashtextextended('tick_ledger ' || user_id, 0));
  moment := clock_timestamp();
  today := (moment at time zone 'UTC')::date;
  resets_at := (today + 1)::timestamp at time zone 'UTC';

  -- A retry that is under way must not find its reservation taken for an orphan.
  update public.tick_ledger l set reserved_at = moment
    where l.task_id = reserve_ticks.task_id and l.used is null
    returning l.reserved into reserve_ticks.reserved;
  granted := found;
  select coalesce(sum(l.charge), 0) into reserve_ticks.used from public.tick_ledger l
    where l.user_id = reserve_ticks.user_id and l.day = today and l.charge > 0;
  if granted then return; end if;

  select l.charge into replaced from public.tick_ledger l
    where l.task_id = reserve_ticks.task_id and l.user_id = reserve_ticks.user_id and l.day = today;
  if reserve_ticks.used - coalesce(replaced, 0) + ticks > daily_limit then return; end if;

  -- Settled rows are kept for far longer than a submission or a settlement is tried again.
  delete from public.tick_ledger l
    where l.user_id = reserve_ticks.user_id and l.day < today - 31 and l.used is not null;
  insert into public.tick_ledger (task_id, user_id, day, reserved, reserved_at)
    values (reserve_ticks.task_id, reserve_ticks.user_id, today, ticks, moment)
    on conflict on constraint tick_ledger_pkey do update
      set user_id = excluded.user_id, day = excluded.day, reserved = excluded.reserved, used = null,
        reserved_at = excluded.reserved_at, settled_at = null;
  granted := true;
  reserved := ticks;
  used := used - coalesce(replaced, 0) + ticks;
end $$;

-- Charges tasks with what they used and gives the rest back, each to the day of its reservation. The first settlement of a
-- task counts; unknown tasks are ignored. Rows are locked in one order, so that batches never wait for each other in a ring.
create function public.settle_ticks(task_ids text[], used_ticks integer[]) returns void
  language sql volatile security definer
  set search_path = ''
  set lock_timeout = '2s'
as $$
  with told as (
    select distinct on (task_id) task_id, ticks
      from unnest(task_ids, used_ticks) with ordinality as t (task_id, ticks, place)
      order by task_id, place
  ), open as (
    select l.task_id from public.tick_ledger l
      where l.task_id = any (task_ids) and l.used is null
      order by l.task_id for update
  )
  update public.tick_ledger l
    set used = greatest(0, least(told.ticks, l.reserved)), settled_at = clock_timestamp()
    from told join open using (task_id)
    where l.task_id = told.task_id and l.used is null and told.ticks is not null;
$$;

-- What the user's tasks of today are charged with, and when the day ends. The clock of this server alone tells the day.
create function public.tick_usage(user_id uuid, out used bigint, out resets_at timestamptz)
  language sql stable security definer
  set search_path = ''
as $$
  select
    (select coalesce(sum(l.charge), 0) from public.tick_ledger l
      where l.user_id = tick_usage.user_id and l.day = (now() at time zone 'UTC')::date and l.charge > 0),
    ((now() at time zone 'UTC')::date + 1)::timestamp at time zone 'UTC';
$$;

-- Reservations that were not settled after that many milliseconds, oldest first.
create function public.unsettled_ticks(older_than_ms bigint, max_rows integer)
  returns table (task_id text, user_id uuid, reserved integer)
  language sql stable security definer
  set search_path = ''
as $$
  select l.task_id, l.user_id, l.reserved from public.tick_ledger l
    where l.used is null and l.reserved_at <= now() - older_than_ms * interval '1 millisecond'
    order by l.reserved_at, l.task_id
    limit greatest(0, max_rows);
$$;

revoke all on function
  public.reserve_ticks(text, uuid, integer, integer),
  public.settle_ticks(text[], integer[]),
  public.tick_usage(uuid),
  public.unsettled_ticks(bigint, integer)
  from public, anon, authenticated;
grant execute on function
  public.reserve_ticks(text, uuid, integer, integer),
  public.settle_ticks(text[], integer[]),
  public.tick_usage(uuid),
  public.unsettled_ticks(bigint, integer)
  to service_role;
