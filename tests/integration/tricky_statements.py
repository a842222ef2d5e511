# ruff: noqa: E501 - a statement is a line
"""Statements that are hard to route, as data: what a database has, and the class that each statement must get.

R read, T transaction, W write, S session, and w for a harmless read that is knowingly sent to the primary.
"""

SCHEMA = r"""
set check_function_bodies = off;
create extension dblink; create extension tablefunc; create extension postgres_fdw;
create extension pg_trgm; create extension hstore; create extension file_fdw;
create schema app; create schema other; create schema "Odd Schema";
create table app.t (id int primary key, name text, parent int, at timestamptz default now(), doc jsonb);
insert into app.t select g, 'n' || g, g / 2, '2026-01-01', jsonb_build_object('a', g) from generate_series(1, 20) g;
create table app."Mixed Case" (id int, "Name" text); insert into app."Mixed Case" values (1, 'x');
create sequence app.s; select nextval('app.s');
create unlogged table app.unlogged (a int); insert into app.unlogged values (1);
create table app.sampled as select * from app.t;
create materialized view app.mat as select count(*) as n from app.t;
select lo_from_bytea(4711, 'abc');

create function app.vol() returns int language sql volatile as 'select 1';
create function app.writes() returns int language plpgsql as $$ begin insert into app.t values (999); return 1; end $$;
create function app.next_id() returns bigint language sql as $$ select nextval('app.s') $$;
create function app.stable_next() returns bigint language sql stable as $$ select nextval('app.s') $$;
create function app.stable_lock() returns int language plpgsql stable as $$ begin perform pg_advisory_lock(7); return 1; end $$;
create function app.immutable_next() returns bigint language plpgsql immutable as $$ begin return NEXTVAL('app.s'); end $$;
create function app.dynamic() returns bigint language plpgsql stable as
  $$ declare r bigint; begin execute 'select next' || 'val(''app.s'')' into r; return r; end $$;
create function app.wrapped() returns bigint language sql stable as 'select app.stable_next()';
create function app.atomic() returns bigint language sql stable begin atomic select nextval('app.s'); end;
create function app.internal_next(regclass) returns bigint language internal stable strict as 'nextval_oid';
create function app.lock_reader() returns int language sql stable as 'select n from app.locked_view';
create function app.defaulted(a int, b bigint default nextval('app.s')) returns bigint language sql immutable as 'select a + b';
create function app.setting_reader() returns text language sql stable as $$ select current_setting('application_name') $$;
create function app.tenant() returns text language sql stable as $$ select current_setting('app.tenant', true) $$;
create function app.configures() returns text language plpgsql stable as $$ begin return set_config('app.x', 'y', false); end $$;
create function app.over(int) returns int language sql immutable as 'select $1';
create function app.over(text) returns int language sql volatile as 'select nextval(''app.s'')::int';
create function app.pure(int) returns int language sql immutable as 'select $1 * 2';
create function app.stable_read(int) returns text language sql stable as 'select name from app.t where id = $1';
create function app.plpg_read(i int) returns text language plpgsql stable as
  $$ declare r text; begin select name into r from app.t where id = i; return r; end $$;
create function app.definer(int) returns text language sql stable security definer as 'select name from app.t where id = $1';
create function app.rows_of() returns setof app.t language sql stable as 'select * from app.t';
create function app.rows_vol() returns setof app.t language sql as 'select * from app.t where nextval(''app.s'') > 0';
create function app.touch(app.t) returns bigint language sql as 'select nextval(''app.s'')';
create function app.label(app.t) returns text language sql stable as 'select $1.name';
create function app.anything(anyelement) returns bigint language sql as 'select nextval(''app.s'')';
create function app."Weird Name"() returns bigint language sql as 'select nextval(''app.s'')';
create function app."NextVal"() returns int language sql immutable as 'select 1';
create function other.vol() returns int language sql immutable as 'select 2';
create function app.calls_weird() returns bigint language sql stable as 'select app."Weird Name"()';
create function app.escaped() returns bigint language sql stable as $$ select U&"\006eextval"('app.s') $$;
create function public.lower(app.t) returns text language sql as 'select nextval(''app.s'')::text';
create procedure app.proc() language sql as 'select 1';
create function app.tablefn(n int, out a int, out b text) returns setof record language sql stable as
  'select id, name from app.t where id < n';
create function app.many(variadic int[]) returns int language sql immutable as 'select cardinality($1)';
create function app.stable_xml() returns xml language sql stable as $$ select query_to_xml('select nextval(''app.s'')', true, true, '') $$;

create operator app.### (leftarg = int, rightarg = int, function = app.op_vol) ;
create view app.v as select id, name from app.t;
create view app.v_vol as select id, nextval('app.s') as n from app.t;
create view app.v_over as select * from app.v_vol;
create view app.v_over_over as select o.id from app.v_over o join app.t using (id);
create view app.v_fn as select app.next_id() as n;
create view app.v_stable as select app.stable_next() as n;
create view app.v_op as select id operator(app.###) 1 as n from app.t;
create view app.v_unlogged as select * from app.unlogged;
create view app.v_setting as select current_setting('application_name') as n;
create view app.locked_view as select id as n from app.t where id = 1 for update;
create view app.v_clock as select clock_timestamp() is not null as n;
create view app.v_activity as select count(*) as n from pg_stat_activity;
create view app.v_pid as select pg_backend_pid() as n;
create view app.v_srf as select * from app.rows_vol();
create view app.v_sub as select id from app.t where exists (select nextval('app.s'));
create view app.v_agg as select app.vol_sum(id) as n from app.t;
create view app.v_dom as select id::app.positive as n from app.t;
create view app.v_cast as select row(1, 'a')::app.pair::text as n;
create recursive view app.v_rec (n) as values (1) union all select n + 1 from v_rec where n < 5;
create view "Odd Schema"."View" as select nextval('app.s') as n;
create view app.hides as select nextval('app.s') as n;

create table app.secured (id int, owner text); insert into app.secured values (1, 'a');
alter table app.secured enable row level security; alter table app.secured force row level security;
create policy p on app.secured using (app.next_id() > 0);
create table app.tenants (id int, tenant text); insert into app.tenants values (1, 'a');
alter table app.tenants enable row level security;
create policy p on app.tenants using (tenant = app.tenant());
create policy q on app.tenants using (tenant = current_setting('app.tenant', true));
create table app.insert_policy (id int); alter table app.insert_policy enable row level security;
create policy p on app.insert_policy for insert with check (app.next_id() > 0);
create policy r on app.insert_policy for select using (true);

create table app.triggered (id int); create function app.tr() returns trigger language plpgsql as
  $$ begin perform nextval('app.s'); return new; end $$;
create trigger tr before insert on app.triggered for each row execute function app.tr();
create table app.generated (id int, twice int generated always as (id * 2) stored, thrice int generated always as (id * 3));
insert into app.generated values (1);
create table app.defaults (id bigint default nextval('app.s'), u uuid default gen_random_uuid(), a int); insert into app.defaults (a) values (1);
create table app.identity (id int generated always as identity, a int); insert into app.identity (a) values (1);

create table app.holds (id app.positive); insert into app.holds values (1);
create extension pg_stat_statements;
create function app.perform_writes() returns int language plpgsql stable as $$ begin perform app.writes(); return 1; end $$;
create function app.query_execute() returns setof int language plpgsql stable as
  $$ begin return query execute 'select 1'; end $$;
create type app.rank as (n int);
create function app.rank_lt(app.rank, app.rank) returns bool language sql immutable as 'select $1.n < $2.n';
create function app.rank_eq(app.rank, app.rank) returns bool language sql immutable as 'select $1.n = $2.n';
create function app.rank_cmp(app.rank, app.rank) returns int language plpgsql as
  $$ begin perform nextval('app.s'); return sign($1.n - $2.n); end $$;
create operator app.<# (leftarg = app.rank, rightarg = app.rank, function = app.rank_lt);
create operator app.=# (leftarg = app.rank, rightarg = app.rank, function = app.rank_eq);
create operator class app.rank_ops default for type app.rank using btree as
  operator 1 app.<#, operator 3 app.=#, function 1 app.rank_cmp(app.rank, app.rank);
create table app.ranked (r app.rank); insert into app.ranked values (row(2)), (row(1)), (row(3));
create server files foreign data wrapper file_fdw;
create foreign table app.foreign_table (line text) server files options (filename '/etc/hostname');
create table app.parted (id int, line text) partition by range (id);
create table app.part1 partition of app.parted for values from (0) to (100);
create table app.parted_ok (id int, line text) partition by range (id);
create table app.parted_ok1 partition of app.parted_ok for values from (0) to (100);
create foreign table app.part2 partition of app.parted for values from (100) to (200) server files options (filename '/etc/hostname');
create table app.parent (id int); create table app.child (more int) inherits (app.parent);
create table app.parent2 (id int); create unlogged table app.child2 () inherits (app.parent2);
insert into app.child2 values (1); insert into app.child values (1, 2);
"""

# What SCHEMA refers to before it can be made in its order.
FIRST = r"""
create schema app; create sequence app.op_s;
create function app.op_vol(int, int) returns bigint language sql as 'select nextval(''app.op_s'')';
create function app.sum_step(int, int) returns int language plpgsql volatile as
  $$ begin perform nextval('app.op_s'); return $1 + $2; end $$;
create aggregate app.vol_sum(int) (sfunc = app.sum_step, stype = int, initcond = '0');
create function app.ok_step(int, int) returns int language sql immutable as 'select $1 + $2';
create aggregate app.ok_sum(int) (sfunc = app.ok_step, stype = int, initcond = '0');
create function app.check_positive(int) returns boolean language plpgsql as
  $$ begin perform nextval('app.op_s'); return $1 > 0; end $$;
create domain app.positive as int check (app.check_positive(value));
create domain app.nested_positive as app.positive;
create domain app.plain_positive as int check (value > 0);
create type app.comp as (a app.positive, b text);
create type app.pair as (a int, b text);
create function app.pair_text(app.pair) returns text language plpgsql as
  $$ begin perform nextval('app.op_s'); return ($1).b; end $$;
create cast (app.pair as text) with function app.pair_text(app.pair);
create function app.takes_positive(app.positive) returns int language sql immutable as 'select 1';
create table app.pairs (p app.pair); insert into app.pairs values (row(1, 'x'));
create type app.mood as enum ('sad', 'ok');
create table app.moods (m app.mood); insert into app.moods values ('ok');
create function app.moody(app.mood) returns text language plpgsql as
  $$ begin perform nextval('app.op_s'); return 'x'; end $$;
create type app.mood2 as enum ('sad', 'ok');
create table app.moods2 (m app.mood2); insert into app.moods2 values ('ok');
create cast (app.mood as varchar) with function app.moody(app.mood) as implicit;
"""

STATEMENTS = r"""
-- Plain reads.
R select 1
R select * from app.t where id = 1
R select t.id, count(*) from app.t t left join app.t p on p.id = t.parent group by t.id order by 2 desc, 1 limit 5 offset 1
R table app.t
R values (1, 'a'), (2, 'b')
R with a as (select * from app.t), b as (select id from a) select count(*) from b
R with recursive r (n) as (select 1 union all select n + 1 from r where n < 5) select * from r
R select * from app.t where doc @> '{"a": 1}' and doc ->> 'a' = '1' and name like 'n%' and name ~ '^n'
R select id, row_number() over (partition by parent order by id), lag(id) over w from app.t window w as (order by id)
R select * from generate_series(1, 3) g, lateral (select g * 2) x
R select array_agg(id order by id), string_agg(name, ',' order by id), count(*) filter (where id > 3) from app.t
R select id from app.t union select 99 except select 1 intersect select 1 order by 1
R select coalesce(null, 1), nullif(1, 2), greatest(1, 2), case 1 when 1 then 'a' else 'b' end, 1 between 0 and 2
R select now() is not null, current_date is not null, current_user, extract(year from date '2026-01-01')
R select distinct on (parent) parent, id from app.t order by parent, id
R select parent, id, count(*) from app.t group by grouping sets ((parent), (id), ()) order by 1, 2, 3
R select * from app.t natural join (select 1 as id) x
R select exists (select from app.t), 3 in (select id from app.t), (1, 2) < (1, 3), 5 = any(array[1, 5])
R select 'a' collate "C" < 'b', interval '1 day', 1::int, '1'::text::int, cast('2' as numeric(10, 2)), array[1,2]::bigint[]
R select e'it''s', $$select nextval('app.s')$$, $x$; delete from app.t$x$, 'delete from t; -- x', U&'d\0061t'
R /* insert into app.t */ select 1 -- for update
R select "id", "name" from "app"."t" order by id for read only
R SeLeCt ID FROM APP.T WHERE id = 1
R select "Name" from app."Mixed Case"
R select app."NextVal"()
R select other.vol()
R select * from app.v
R select * from app.v_rec
R select * from app.v_clock
R select n from app.mat
R select * from app.parted_ok
R select * from app.parent
R select * from only app.parent
R select * from app.generated
R select a from app.defaults
R select a from app.identity
R select * from app.triggered
R select * from app.tenants
R select * from app.insert_policy
R select app.pure(2), app.stable_read(1), app.plpg_read(1), app.definer(2), app.ok_sum(id) from app.t
R select * from app.rows_of()
R select * from app.tablefn(3)
R select * from rows from (app.tablefn(3), generate_series(1, 4)) with ordinality
R select app.many(1, 2, 3)
R select t.label, label(t), (t).name from app.t t order by id
R select 3::app.plain_positive
R select m from app.moods2
R select 'ok'::app.mood2
R select app.tenant()
R select current_setting('app.tenant', true)
R select count(*) from app.sampled tablesample bernoulli (100)
R select count(*) from app.sampled tablesample system (100) repeatable (1)
R select random() is not null, clock_timestamp() is not null, gen_random_uuid() is not null, uuidv7() is not null
R select similarity('abc', 'abd'), 'a=>1'::hstore -> 'a'
R select pg_sleep(0), pg_sleep_for('0 s')
R select sha256('x'), encode('x', 'hex'), md5('x')
R select to_tsvector('english', 'cats') @@ to_tsquery('cat')
R select json_build_object('a', 1), jsonb_path_query('[1,2]', '$[*]'), jsonb_set('{}', '{a}', '1'), json '{}' is json
R select * from json_to_recordset('[{"a":1}]') as x (a int, b text)
w select * from jsonb_populate_record(null::app.pairs, '{}') where false
R select * from json_table('[1,2]', '$[*]' columns (a int path '$')) j
R select * from information_schema.tables where table_schema = 'app' order by table_name
R select relname from pg_catalog.pg_class where relnamespace = 'app'::regnamespace order by 1
R select tablename from pg_tables where schemaname = 'app' order by 1
R select pg_get_viewdef('app.v'::regclass), to_regclass('app.t')::text, format_type(23, null), obj_description(1)
R select has_table_privilege('app.t', 'select'), pg_typeof(1), version() is not null
w select pg_relation_size('app.t') > 0
W select pg_relation_size('app.unlogged')
W copy (select 1) to program 'cat'
W copy app.t to '/tmp/x'
R select id from app.holds
w select app.holds.id::app.positive from app.holds
W select * from app.ranked order by r
W select app.perform_writes()
W select app.query_execute()
R select t.id from app.t t where t.name = (select max(u.name) from app.t u where u.id = t.id)
W select jsonb_populate_record(null::app.holds, '{"id": 1}')
R with recursive a as (select 1 as n union all select n + 1 from a where n < 3) search depth first by n set o select n from a
R select * from app.t where ctid is not null and xmin is not null and tableoid = 'app.t'::regclass
W select pg_read_file('PG_VERSION')
W select * from pg_ls_dir('.')
W select pg_replication_origin_oid('a')
W select * from pg_stat_statements
W select array(select nextval('app.s'))
W select id from app.t where id = any(array(select app.next_id()))
W select * from app.t t join app.t u on app.next_id() > t.id
W select grouping(id), count(*) from app.t group by cube (id, app.next_id())
W select * from app.t fetch first (nextval('app.s')) rows only
W select * from app.t offset app.next_id() * 0
W select not exists (table app.v_fn)
W select pg_catalog.pg_advisory_xact_lock_shared(1), 1
S select pg_catalog.pg_advisory_lock(1)
S select 1 from app.t where pg_try_advisory_lock(id)
W select /*+ hint */ app./* x */next_id /* y */ ()
W select "app"."next_id"()
W select APP.Next_Id()
W ;;select app.next_id();;
R ;;select 1;;
w select lo_get(4711)
R explain select * from app.t
R explain (analyze, costs off, timing off, summary off, buffers off) select * from app.t where id = 1
R explain (format json, analyze false) table app.t
R select 1; select 2
R select $1::int + $2::int
R select name from app.t where id = $1::INTEGER and name = any($2::VARCHAR[])
R copy app.t to stdout
R copy (select * from app.t order by id) to stdout with (format csv)
R select
R -- nothing but a comment
R select pg_catalog.upper('a'), pg_catalog.count(*) from app.t
R select overlay('abc' placing 'x' from 1), trim(both ' ' from ' a '), substring('abc' from 1 for 2), position('a' in 'ba')
R select timestamp '2026-01-01' at time zone 'utc', 'a' similar to 'a', 'a' ilike 'A', not true, 1 is distinct from 2
R select percentile_cont(0.5) within group (order by id), mode() within group (order by parent) from app.t
R select (array[1,2,3])[1:2], (row(1,2)).f1, (select t from app.t t where id = 1).name
R select * from (values (1)) v (a) cross join lateral unnest(array[a, 2]) u where u = 1
w with s as (select 1 as x) select s.x from s
R select 'select nextval(''app.s'')' as nextval
R select id as nextval, name as "for update" from app.t order by id
R select nextval from (select 1 as nextval) x
R select count(*) from app.t where name = 'pg_advisory_lock(1)'
-- Writes, plain and hidden.
W insert into app.triggered values (1)
W insert into app.triggered values (1) on conflict do nothing returning *
W update app.t set name = name where id = 1
W delete from app.t where id = -1
W merge into app.t using (select 1 as i) s on t.id = s.i when matched then update set name = name
W merge into app.t using (select 1 as i) s on t.id = s.i when matched then do nothing returning t.id
W with d as (delete from app.t where id = 2 returning *) select * from d
W with i as (insert into app.triggered values (1)) select 1
W with a as (with b as (update app.t set name = name returning id) select * from b) select count(*) from a
W select * from (select 1) x, (with m as (select 1) select * from m for update) y
W select * into app.copied from app.t
W select id into app.copied2 from app.t union select 1
W create table app.made as select 1
W truncate app.triggered
W select * from app.t for update
W select * from app.t for no key update skip locked
W select * from app.t for share nowait
W select * from app.t for key share of t
W select (select id from app.t where id = 1 for update)
W select 1 where exists (select 1 from app.t for share)
W select * from (select * from app.t for update) x
W with x as (select * from app.t for update) select count(*) from x
W lock table app.t in exclusive mode
W copy app.triggered from stdin
W do $$ begin perform nextval('app.s'); end $$
w do $$ begin null; end $$
w call app.proc()
W notify x
W select pg_notify('x', 'y')
W create table app.x (a int)
W create index on app.t (name)
W alter table app.t add column more int
W drop view app.v_rec
W comment on table app.t is 'x'
W grant select on app.t to public
W refresh materialized view app.mat
W vacuum app.t
W analyze app.t
W reindex table app.t
W cluster app.t using t_pkey
W checkpoint
W prepare transaction 'x'
W commit prepared 'x'
W alter system reset work_mem
W explain analyze insert into app.triggered values (1)
W explain (analyze) delete from app.t where id = -1
W explain (analyze) with d as (delete from app.t where id = -1 returning *) select * from d
W explain analyze select nextval('app.s')
W explain analyze select * from app.t for update
W explain analyze create table app.x2 as select 1
w explain insert into app.triggered values (1)
w explain update app.t set name = name
w explain select nextval('app.s')
W select 1; insert into app.triggered values (1)
W select 1; select nextval('app.s'); select 2
W select 1 /* ; */; delete from app.t where id = -1 --
-- Sequences.
W select nextval('app.s')
W select pg_catalog.nextval('app.s')
W select NEXTVAL('app.s')
W select "nextval"('app.s')
W select U&"\006eextval"('app.s')
W select nextval('app.s'::regclass) from app.t
W select id from app.t order by nextval('app.s')
W select id from app.t where nextval('app.s') > 0
W select id from app.t group by id having nextval('app.s') > 0
W select id from app.t limit (select nextval('app.s'))
W select * from nextval('app.s') n
W select * from rows from (nextval('app.s')) n
W select * from app.t, lateral nextval('app.s') n
W select * from app.t join lateral (select nextval('app.s')) n on true
W select case when nextval('app.s') > 0 then 1 end
W select coalesce(null, nextval('app.s'))
W select array[nextval('app.s')], row(nextval('app.s')), (array[1])[nextval('app.s')]
W select count(*) filter (where nextval('app.s') > 0) from app.t
W select sum(nextval('app.s')) over () from app.t
W select sum(id) over (order by nextval('app.s')) from app.t
W select sum(id) over w from app.t window w as (partition by nextval('app.s'))
W select array_agg(id order by nextval('app.s')) from app.t
W select distinct on (nextval('app.s')) id from app.t
W select percentile_cont(0.5) within group (order by nextval('app.s')) from app.t
W values (nextval('app.s'))
W select * from (values (nextval('app.s'))) v
W with x as (select nextval('app.s')) select * from x
W select 1 union select nextval('app.s')
W select json_build_object('a', nextval('app.s'))
W select json_object('a': nextval('app.s')), json_array(nextval('app.s'))
W select xmlelement(name a, nextval('app.s'))
W select * from app.sampled tablesample bernoulli (nextval('app.s') * 0 + 100)
W select setval('app.s', 5)
W select currval('app.s')
W select lastval()
W select last_value from app.s
W select last_value from pg_sequences where schemaname = 'app'
W select pg_sequence_last_value('app.s'::regclass)
-- Functions.
w select app.vol()
W select app.writes()
W select app.next_id()
W select app.next_id() from app.t where id = 1
W select * from app.next_id()
W select app.stable_next()
W select app.stable_lock()
W select app.immutable_next()
W select app.dynamic()
W select app.wrapped()
W select app.atomic()
W select app.internal_next('app.s')
W select app.lock_reader()
W select app.defaulted(1)
W select app.defaulted(a => 1)
W select app.setting_reader()
W select app.configures()
W select app.over('x')
w select app.over(1)
W select app.anything(1)
W select app."Weird Name"()
W select app.calls_weird()
W select app.escaped()
W select app.stable_xml()
W select * from app.rows_vol()
W select t.touch from app.t t where id = 1
W select (t).touch from app.t t where id = 1
W select app.touch(t) from app.t t where id = 1
W select (select t from app.t t where id = 1).touch
W select t.lower from app.t t where id = 1
W select app.t.touch from app.t where id = 1
W select id from app.t order by t.touch
W select app.vol_sum(id) from app.t
W select app.vol_sum(id) over () from app.t
W select app.op_vol(1, 2)
W select 1 operator(app.###) 2
W select id from app.t where id operator(app.###) 1 > 0
W select 1 ### 2
W select 3 operator(app.###) any(array[1, 2])
W select query_to_xml('select nextval(''app.s'')', true, true, '')
W select table_to_xml('app.v_vol', true, true, '')
W select schema_to_xml('app', true, true, '')
W select * from dblink('dbname=postgres', 'select 1') as x (a int)
W select * from crosstab('select 1::text, 2::text, nextval(''app.s'')::text') as c (a text, b text)
W select * from connectby('app.v_vol', 'id', 'n', '1', 1) as c (a int, b bigint, l int)
W select * from ts_stat('select to_tsvector(nextval(''app.s'')::text)')
W select txid_current()
W select pg_current_xact_id()
W select txid_current_if_assigned()
W select pg_walfile_name('0/1000000')
W select pg_current_wal_lsn()
W select pg_switch_wal()
W select pg_create_restore_point('x')
W select pg_create_logical_replication_slot('x', 'test_decoding')
W select * from pg_create_physical_replication_slot('x')
W select pg_logical_emit_message(true, 'a', 'b')
W select lo_create(0)
W select lo_creat(-1)
W select lo_put(4711, 0, 'x')
W select lo_unlink(4711)
W select lo_from_bytea(0, 'x')
W select pg_export_snapshot()
W select pg_stat_reset()
W select pg_promote()
W select pg_terminate_backend(0)
W select pg_reload_conf()
W select brin_summarize_new_values('app.t_pkey')
W select gin_clean_pending_list('app.t_pkey')
W select unknown_function(1)
W select pg_temp.f()
-- Views, tables, types.
W select * from app.v_vol
W select * from app.v_over
W select * from app.v_over_over
W select id from app.v_vol
W select * from app.v_fn
W select * from app.v_stable
W select * from app.v_op
W select * from app.v_unlogged
W select * from app.locked_view
W select * from app.v_setting
W select * from app.v_activity
W select * from app.v_pid
W select * from app.v_srf
w select id from app.v_sub
W select * from app.v_agg
W select * from app.v_dom
W select * from app.v_cast
W select * from "Odd Schema"."View"
W table app.v_vol
W copy (select * from app.v_vol) to stdout
W explain analyze select * from app.v_fn
W select * from (with hides as (select 1) select * from hides) x, hides
W select 1 where exists (select from app.v_fn)
W select * from app.unlogged
W select count(*) from app.unlogged
W select * from app.parent2
W select * from app.foreign_table
W select * from app.parted
W select * from app.secured
W select * from app.v join app.secured using (id)
W select * from no_such_table
W select 1::app.positive
W select app.positive '1'
W select cast('1' as app.nested_positive)
W select '{1}'::app.positive[]
W select row(1, 'x')::app.comp
w select app.takes_positive(1)
W select * from json_to_recordset('[{"a":1}]') as x (a app.positive)
W select (jsonb_populate_record(null::app.comp, '{"a": 1}')).a
W select json_value('1', '$' returning app.positive)
W select * from json_table('[1]', '$[*]' columns (a app.positive path '$')) j
W select * from xmltable('/a' passing '<a>1</a>' columns a app.positive path '.') x
W select pg_input_is_valid('1', 'app.positive')
W select p::text from app.pairs
W select row(1, 'x')::app.pair::text
W select upper(m) from app.moods
W select 'a'::varchar = m from app.moods
-- Answers of one server or session.
W select pg_is_in_recovery()
W select inet_server_port()
W select pg_backend_pid()
W select pg_postmaster_start_time()
W select pg_last_wal_replay_lsn()
W select count(*) from pg_stat_activity
W select * from pg_stat_replication
W select * from pg_locks
W select setting from pg_settings where name = 'transaction_read_only'
W select current_setting('transaction_read_only')
W select current_setting('trans' || 'action_read_only')
w select current_setting('server_version')
W show transaction_read_only
w show server_version
W show all
W select * from pg_cursors
W select * from pg_prepared_statements
W select * from pg_replication_slots
W select pg_my_temp_schema()
W select pg_stat_get_numscans('app.t'::regclass)
-- Session state.
S set search_path = app
S set session timezone = 'utc'
S set role postgres
S set session authorization default
S set session characteristics as transaction isolation level serializable
S set time zone 'utc'
S set app.tenant = 'x'
S reset all
S reset search_path
S discard all
S listen x
S unlisten *
S prepare p as select 1
S deallocate all
S load 'auto_explain'
S create temp table tmp (a int)
S create temporary table tmp2 as select 1
S create table pg_temp.tmp3 (a int)
S create temp view tv as select 1
S create temp sequence ts
S select 1 as a into temp tmp4
S select * into pg_temp.tmp5 from app.t
S select set_config('app.x', 'y', false)
S select pg_catalog.set_config('search_path', 'app', false)
S select set_config('app.x', 'y', $1)
S select set_config('transaction_read_only', 'on', id = 0) from app.t
S select pg_advisory_lock(1)
S select pg_try_advisory_lock(1, 2)
S select pg_advisory_lock_shared(1) from app.t
S select * from pg_try_advisory_lock_shared(4)
S select pg_advisory_unlock_all()
S select setseed(0.5)
S select set_limit(0.5)
S select dblink_connect('dbname=postgres')
S declare c cursor with hold for select 1
S select 1; set search_path = app
S set local search_path = app; set search_path = app
W set local search_path = app
W select set_config('app.x', 'y', true)
W select set_config('app.x', 'y', 't'::bool)
W select pg_advisory_xact_lock(1)
W select pg_try_advisory_xact_lock(1)
W select pg_advisory_xact_lock_shared(id) from app.t
W declare c cursor for select 1
W fetch 1 from c
W close c
W execute p
W explain analyze execute p
W set constraints all deferred
-- Transactions.
T begin
T start transaction read only
T begin isolation level repeatable read
T commit
T end
T rollback
T savepoint a
T release savepoint a
T rollback to savepoint a
T set transaction isolation level serializable
T set transaction read only
T begin; select 1; commit
W begin; insert into app.triggered values (1); commit
-- What the parser refuses.
W selec 1
W select 'open
W select (1
W select 1; foo
"""
