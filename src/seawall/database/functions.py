"""PostgreSQL's own functions that can't be judged by the volatility they declare."""

from __future__ import annotations

HARMLESS = frozenset({
    # Each call has another answer, on whichever server.
    "clock_timestamp", "timeofday", "random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7",
    "array_sample", "array_shuffle", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
    # Table sampling.
    "bernoulli", "system", "system_rows", "system_time",
    # Facts that are replicated; sizes are not, those of unlogged tables differ.
    "pg_partition_tree", "pg_partition_ancestors",
    # uuid-ossp, pgcrypto, tablefunc.
    "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "gen_random_bytes", "gen_salt",
    "pgp_sym_encrypt", "pgp_sym_encrypt_bytea", "pgp_pub_encrypt", "pgp_pub_encrypt_bytea", "normal_rand",
})  # fmt: skip
"""Declared volatile, and yet fine on a replica."""

HARMFUL = frozenset({
    # Refused by a standby.
    "txid_current", "pg_current_xact_id", "pg_walfile_name", "pg_walfile_name_offset", "pg_replication_origin_oid",
    # Another answer in each session or on each server.
    "txid_current_if_assigned", "pg_current_xact_id_if_assigned", "txid_current_snapshot", "pg_current_snapshot",
    "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port", "pg_backend_pid",
    "pg_postmaster_start_time", "pg_conf_load_time", "pg_listening_channels", "pg_my_temp_schema",
    "pg_is_other_temp_schema", "pg_show_all_settings", "pg_prepared_statement", "pg_cursor",
    "pg_get_replication_slots", "pg_safe_snapshot_blocking_pids", "current_setting", "show_limit",
    # They run SQL, or read a type or table, that a string names.
    "table_to_xml", "table_to_xmlschema", "table_to_xml_and_xmlschema", "schema_to_xml", "schema_to_xmlschema",
    "schema_to_xml_and_xmlschema", "database_to_xml", "database_to_xmlschema", "database_to_xml_and_xmlschema",
    "pg_input_is_valid", "pg_input_error_info", "crosstab", "crosstab2", "crosstab3", "crosstab4", "connectby",
    "xpath_table",
})  # fmt: skip
"""Declared stable or immutable, and yet only for the primary."""

HARMFUL_PREFIX = "pg_stat_get_"
"""Begins the names of functions that tell of the activity of one server."""

SESSION = frozenset({
    "set_config", "setseed", "set_limit", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all",
    "pg_replication_origin_session_setup", "pg_replication_origin_session_reset", "dblink_connect",
    "dblink_connect_u", "dblink_disconnect", "dblink_open", "dblink_close",
})  # fmt: skip
"""They leave something on the connection."""

READABLE_VIEWS = frozenset({
    "pg_tables", "pg_views", "pg_matviews", "pg_indexes", "pg_rules", "pg_policies", "pg_publication_tables",
    "pg_roles", "pg_user", "pg_group", "pg_shadow", "pg_seclabels", "pg_stats", "pg_stats_ext",
    "pg_stats_ext_exprs", "pg_timezone_names", "pg_timezone_abbrevs", "pg_available_extensions",
    "pg_available_extension_versions", "pg_user_mappings",
})  # fmt: skip
"""PostgreSQL's views that tell what is replicated; its others tell of one server or session."""
