"""The queries that read what a catalogue needs. Every value comes as text, so any driver will do."""

from __future__ import annotations

FIRST_USER_OID = 16_384
"""Below are PostgreSQL's own objects."""

_LASTING = "n.nspname !~ '^pg_(temp|toast)'"

FUNCTIONS = f"""
SELECT p.oid::text, n.nspname::text, p.proname::text, p.provolatile::text, l.lanname::text,
  p.prosrc,
  (SELECT coalesce(bool_or(t.typtype IN ('c', 'p', 'd')), false)::text FROM pg_catalog.pg_type t
    WHERE t.oid = p.proargtypes[0])
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE {_LASTING}
"""  # noqa: S608
"""oid, schema, name, volatility, language, source, and whether the first argument can be a row."""

RELATIONS = f"""
SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_LASTING}
"""  # noqa: S608
"""oid, schema, name, kind, persistence."""

OPERATORS = f"""
SELECT o.oid::text, n.nspname::text, o.oprname::text
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE {_LASTING}
"""  # noqa: S608
"""oid, schema, name."""

TYPES = f"""
SELECT t.oid::text, n.nspname::text, t.typname::text
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE {_LASTING}
"""  # noqa: S608
"""oid, schema, name."""

# What an expression that PostgreSQL has analysed refers to, with implicit casts and resolved overloads.
_FIELDS = "funcid|opfuncid|aggfnoid|winfnoid|tsmhandler|relid|resulttype|opno|eqop|sortop"
_REFERENCE = rf"':({_FIELDS}) ([1-9][0-9]*)|:(rowMarks) \(', 'g'"

EDGES = f"""
WITH expressions (kind, oid, tree) AS (
  SELECT 'r', r.ev_class, r.ev_action::text
    FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
    WHERE c.relkind = 'v' AND r.ev_class >= {FIRST_USER_OID}
  UNION ALL SELECT 'policy', p.polrelid, p.polqual::text
    FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
    WHERE c.relrowsecurity AND p.polcmd IN ('r', '*')
  UNION ALL SELECT 'r', d.adrelid, d.adbin::text
    FROM pg_catalog.pg_attrdef d
    JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE a.attgenerated = 'v'
  UNION ALL SELECT 'f', p.oid, concat(p.proargdefaults::text, p.prosqlbody::text)
    FROM pg_catalog.pg_proc p
    WHERE p.oid >= {FIRST_USER_OID} AND (p.proargdefaults IS NOT NULL OR p.prosqlbody IS NOT NULL)
  UNION ALL SELECT 't', c.contypid, c.conbin::text
    FROM pg_catalog.pg_constraint c WHERE c.contypid >= {FIRST_USER_OID} AND c.contype = 'c'
)
SELECT DISTINCT e.kind, e.oid::text,
  CASE coalesce(m[1], m[3]) WHEN 'relid' THEN 'r' WHEN 'resulttype' THEN 't' WHEN 'rowMarks' THEN 'locks'
    WHEN 'opno' THEN 'o' WHEN 'eqop' THEN 'o' WHEN 'sortop' THEN 'o' ELSE 'f' END,
  coalesce(m[2], '')
FROM expressions e, regexp_matches(e.tree, {_REFERENCE}) m
UNION ALL SELECT 'f', a.aggfnoid::oid::text, 'f', part::oid::text
  FROM pg_catalog.pg_aggregate a, unnest(ARRAY[a.aggtransfn::oid, a.aggfinalfn, a.aggcombinefn, a.aggserialfn,
    a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn]) part
  WHERE a.aggfnoid::oid >= {FIRST_USER_OID} AND part::oid <> 0
UNION ALL SELECT 'f', p.oid::text, 't', t::text
  FROM pg_catalog.pg_proc p, unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype) t
  WHERE p.oid >= {FIRST_USER_OID} AND t >= {FIRST_USER_OID}
UNION ALL SELECT 'o', o.oid::text, 'f', o.oprcode::oid::text
  FROM pg_catalog.pg_operator o WHERE o.oid >= {FIRST_USER_OID}
UNION ALL SELECT 'r', i.inhparent::text, 'r', i.inhrelid::text FROM pg_catalog.pg_inherits i
UNION ALL SELECT 'r', a.attrelid::text, 'held', a.atttypid::text
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= {FIRST_USER_OID} AND c.relkind IN ('r', 'p', 'v', 'm')
UNION ALL SELECT 'r', c.oid::text, 'held', c.reltype::text
  FROM pg_catalog.pg_class c WHERE c.oid >= {FIRST_USER_OID} AND c.reltype <> 0
UNION ALL SELECT kind, t.oid::text, kind, part::text
  FROM pg_catalog.pg_type t, unnest(ARRAY['t', 'held']) kind, unnest(ARRAY[t.typelem, t.typbasetype]) part
  WHERE t.oid >= {FIRST_USER_OID} AND part >= {FIRST_USER_OID}
UNION ALL SELECT kind, c.reltype::text, kind, a.atttypid::text
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid, unnest(ARRAY['t', 'held']) kind
  WHERE c.reltype <> 0 AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= {FIRST_USER_OID}
UNION ALL SELECT kind, r.rngtypid::text, kind, r.rngsubtype::text
  FROM pg_catalog.pg_range r, unnest(ARRAY['t', 'held']) kind WHERE r.rngsubtype >= {FIRST_USER_OID}
UNION ALL SELECT 't', r.rngtypid::text, 'f', part::oid::text
  FROM pg_catalog.pg_range r, unnest(ARRAY[r.rngcanonical, r.rngsubdiff]) part WHERE part::oid >= {FIRST_USER_OID}
UNION ALL SELECT 'held', a.amproclefttype::text, 'f', a.amproc::oid::text
  FROM pg_catalog.pg_amproc a WHERE a.amproclefttype >= {FIRST_USER_OID} AND a.amproc::oid >= {FIRST_USER_OID}
UNION ALL SELECT 't', t.oid::text, 'held', t.oid::text FROM pg_catalog.pg_type t WHERE t.oid >= {FIRST_USER_OID}
UNION ALL SELECT CASE WHEN greatest(c.castsource, c.casttarget) >= {FIRST_USER_OID} THEN 'held'
    WHEN c.castcontext = 'i' THEN 'everything' ELSE 't' END,
  CASE WHEN c.castsource >= {FIRST_USER_OID} THEN c.castsource ELSE c.casttarget END::text, 'f', c.castfunc::text
  FROM pg_catalog.pg_cast c WHERE c.castfunc >= {FIRST_USER_OID}
"""  # noqa: S608
"""kind and oid, kind and oid of what it needs: f a function, r a relation, o an operator, t a value made of a type,
held a value of a type that is there already, policy a relation's row security, locks and everything without an oid."""

QUERIES = (FUNCTIONS, RELATIONS, OPERATORS, TYPES, EDGES)
"""In the order in which `Catalogue` takes their rows."""
