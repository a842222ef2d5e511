"""Every metric of Seawall, declared once: the exposition, the reference page, alerts and dashboards come from here."""

from __future__ import annotations

from seawall.telemetry.metrics import LATENCY_BUCKETS, Across, Kind, Metric


def _counter(name: str, help: str, *labels: str) -> Metric:  # noqa: A002 - Prometheus's word
    return Metric(name=name, kind=Kind.COUNTER, help=help, labels=labels)


def _gauge(name: str, help: str, *labels: str, across: Across = Across.SUM) -> Metric:  # noqa: A002
    return Metric(name=name, kind=Kind.GAUGE, help=help, labels=labels, across=across)


def _histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...] = LATENCY_BUCKETS) -> Metric:  # noqa: A002
    return Metric(name=name, kind=Kind.HISTOGRAM, help=help, labels=labels, buckets=buckets)


_JOB_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)

# Requests.
HTTP_REQUESTS = _counter(
    "http_requests_total",
    "Requests served, by the route's template; status 499 is a client that left before the answer was through.",
    "method", "route", "status",
)  # fmt: skip
HTTP_SECONDS = _histogram("http_request_duration_seconds", "Time until the answer was through.", "method", "route")
HTTP_ACTIVE = _gauge("http_requests_active", "Requests under way.")
HTTP_BYTES = _counter("http_response_bytes_total", "Bytes of answers' bodies.")
WEBSOCKETS_ACTIVE = _gauge("websocket_connections_active", "Websockets that are open.")
WEBSOCKET_SECONDS = _histogram(
    "websocket_connection_duration_seconds", "How long websockets were open.", "route",
    buckets=(0.1, 1.0, 10.0, 60.0, 600.0, 3600.0),
)  # fmt: skip
ERRORS = _counter(
    "errors_total", "Errors that answered a request, by the code in the problem body.", "code", "category", "severity"
)

# Calls of other services.
CIRCUIT_STATE = _gauge(
    "circuit_breaker_state", "0 closed, 1 half-open, 2 open, 3 isolated; of several processes the worst.", "breaker",
    across=Across.MAX,
)  # fmt: skip
CIRCUIT_CHANGES = _counter("circuit_breaker_transitions_total", "Changes of a breaker's state.", "breaker", "to")
CALLS_REJECTED = _counter("calls_rejected_total", "Calls a policy refused before they began.", "policy", "reason")
CALLS_RETRIED = _counter("calls_retried_total", "Attempts after the first.", "policy")
RETRIES_GIVEN_UP = _counter("retries_given_up_total", "Calls that failed after all their attempts.", "policy", "reason")
CALLS_TIMED_OUT = _counter("calls_timed_out_total", "Calls cut by a timeout or the deadline.", "policy", "cut_by")
CALLS_HEDGED = _counter("calls_hedged_total", "Second calls started because the first was slow.", "policy")
CALLS_FALLEN_BACK = _counter("calls_fallen_back_total", "Calls answered by an alternative.", "policy", "alternative")
CONCURRENCY_LIMIT = _gauge("concurrency_limit", "How many calls an adaptive limit lets run at once.", "policy")

# Cache.
CACHE_REQUESTS = _counter(
    "cache_requests_total", "Values asked for; answer is memory, remote, stale or miss.", "cache", "category", "answer"
)
CACHE_LOADS = _histogram("cache_load_duration_seconds", "Time loaders took.", "cache", "category")
CACHE_LOADS_FAILED = _counter(
    "cache_loads_failed_total", "Loads that failed; stale: an older answer was given.", "cache", "category", "stale"
)
CACHE_ENTRIES = _gauge("cache_entries", "Entries in memory.", "cache")
CACHE_TIER_UP = _gauge("cache_tier_up", "Whether the shared tier answers.", "cache", "tier", across=Across.MIN)
REDIS_MEMORY = _gauge(
    "redis_memory_used_ratio", "What Redis uses of the memory it may have; absent where it has no limit.", "server",
    across=Across.MAX,
)  # fmt: skip

# Database.
DATABASE_UP = _gauge("database_node_up", "Whether a server may be used.", "node", across=Across.MIN)
DATABASE_PRIMARY = _gauge("database_node_primary", "Whether a server is the primary.", "node", across=Across.MAX)
DATABASE_LAG_SECONDS = _gauge(
    "database_replication_lag_seconds", "Age of the commit that a replica replayed last, if it lacks any.", "node",
    across=Across.MAX,
)  # fmt: skip
DATABASE_LAG_BYTES = _gauge(
    "database_replication_lag_bytes", "Bytes of the log that a replica lacks.", "node", across=Across.MAX
)
DATABASE_CONNECTIONS = _gauge("database_connections_in_use", "Connections in use by this service.", "node")
DATABASE_STATEMENTS = _counter("database_statements_total", "Statements run.", "node")
DATABASE_SECONDS = _histogram("database_statement_duration_seconds", "Time statements took.", "kind")
DATABASE_SLOW = _counter("database_slow_statements_total", "Statements slower than DATABASE_SLOW_AFTER.", "node")
DATABASE_REPEATED = _counter("database_repeated_statements_total", "Requests that ran one read again and again.")
DATABASE_RERUN = _counter("database_statements_rerun_total", "Statements run again on another server.", "onto")
DATABASE_PROMOTIONS = _counter("database_primary_changes_total", "Times another server became the primary.")

# Jobs. Their label can't be `job`, which is Prometheus's own.
JOBS_ENQUEUED = _counter(
    "jobs_enqueued_total", "Jobs handed to the queue; delayed: to run later.", "job_name", "delayed"
)
JOBS = _counter("jobs_total", "Runs of jobs that have ended, by how.", "job_name", "state")
JOB_SECONDS = _histogram("job_duration_seconds", "Time that runs of jobs took.", "job_name", buckets=_JOB_BUCKETS)
JOB_WAITED = _histogram(
    "job_wait_seconds", "Time from when a job was enqueued, or due, until a worker began.", "job_name",
    buckets=_JOB_BUCKETS,
)  # fmt: skip
JOBS_ACTIVE = _gauge("jobs_active", "Jobs that run.")

# Files.
FILES_REMOVED = _counter("files_removed_total", "Entries removed from a folder because nobody needed them.", "folder")
FILES_FREED = _counter("files_freed_bytes_total", "Bytes on the disk that this freed.", "folder")
FILES_FAILED = _counter("files_failed_total", "Entries that could be neither judged nor removed.", "folder")
FILES_KEPT = _gauge("files_kept", "Entries in a folder after its last sweep.", "folder", across=Across.MAX)
FILES_HELD = _gauge("files_held_bytes", "Bytes on the disk that they hold.", "folder", across=Across.MAX)

# The process and the machine.
HEALTH = _gauge(
    "health_status", "0 healthy, 1 degraded, 2 unhealthy; check `overall` is the whole.", "check", across=Across.MAX
)
LOG_LINES = _counter("log_lines_total", "Lines logged.", "level")
LOG_LINES_DROPPED = _counter("log_lines_dropped_total", "Lines dropped because the output stalled or failed.")
PROCESS_CPU = _counter("process_cpu_seconds_total", "CPU time, in user and system mode.")
PROCESS_MEMORY = _gauge("process_resident_memory_bytes", "Resident memory.")
PROCESS_FILES = _gauge("process_open_fds", "Open file descriptors, of the process that has most.", across=Across.MAX)
PROCESS_MOST_FILES = _gauge("process_max_fds", "Most open file descriptors one process may have.", across=Across.MIN)
PROCESS_STARTED = _gauge(
    "process_start_time_seconds", "When the oldest process was started, as seconds of the epoch.", across=Across.MIN
)
PROCESSES = _gauge("service_processes", "Processes that serve.")
LOOP_LAG = _histogram(
    "event_loop_lag_seconds", "How late the event loop runs what is due.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)  # fmt: skip
LOOP_STALLS = _counter("event_loop_stalls_total", "Times that something held the event loop for 0.1 s or more.")
GC_SECONDS = _counter("python_gc_seconds_total", "Time spent in collecting garbage.")
GC_RUNS = _counter("python_gc_collections_total", "Collections of garbage.", "generation")
SYSTEM_CPU = _gauge("system_cpu_used_ratio", "Share of the machine's CPU time in use.", across=Across.MAX)
SYSTEM_MEMORY = _gauge(
    "system_memory_used_ratio", "Share of memory in use, of the container's limit if it has one.", across=Across.MAX
)
SYSTEM_DISK = _gauge("system_disk_free_ratio", "Share of a disk that is free.", "path", across=Across.MIN)

METRICS: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""All of them."""
