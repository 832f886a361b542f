-- The database of tokentail: names and meanings are public, and change only by a migration.
-- Times are UTC, as text of one fixed form: YYYY-MM-DD HH:MM:SS.ffffff. Tokens are counts.
-- "Event line" is the [TokenEstimationV2] line; other lines are named by their marker.

-- One row for each telemetry event, however often and wherever it was seen.
-- First the columns of the executor's own table, with its meanings; then ours.
CREATE TABLE token_estimation_v2_events (
    event_id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,                   -- executor's run; 'unknown' where no line tells
    phase_id TEXT NOT NULL,                 -- executor's phase; 'unknown' where no line tells
    timestamp TEXT NOT NULL,                -- when the event line was logged, UTC
    category TEXT,                          -- event line; NULL where it says None
    complexity TEXT,                        -- event line; NULL where it says None
    deliverable_count INTEGER NOT NULL,     -- event line; 0 also where the executor had a dict of them
    deliverables_json TEXT NOT NULL,        -- JSON array of paths, at most 20, each at most 200 characters
    predicted_output_tokens INTEGER NOT NULL,   -- event line: the estimate
    actual_output_tokens INTEGER NOT NULL,  -- event line: the outcome (input + output if actual_is_total)
    selected_budget INTEGER NOT NULL,       -- event line; 0 where it says None
    actual_max_tokens INTEGER,              -- [TOKEN_BUDGET] or final enforcement: the ceiling given
    success INTEGER,                        -- event line, 0 or 1: the answer parsed; NULL where it says None
    truncated INTEGER,                      -- event line, 0 or 1; NULL where it doesn't tell
    stop_reason TEXT,                       -- event line; NULL where it doesn't tell
    model TEXT,                             -- event line; NULL where it says None
    smape_percent REAL,                     -- 200 |p-a| / (|p|+|a|); NULL if either is 0
    waste_ratio REAL,                       -- p / a; NULL if either is 0
    underestimated INTEGER,                 -- a > p, 0 or 1; NULL if either is 0
    is_truncated_output INTEGER,            -- = truncated
    api_reference_required INTEGER,         -- NULL: the log doesn't tell (and the seven below)
    examples_required INTEGER,
    research_required INTEGER,
    usage_guide_required INTEGER,
    context_quality TEXT,
    is_sot_file INTEGER,
    sot_file_name TEXT,
    sot_entry_count_hint INTEGER,
    created_at TEXT NOT NULL,               -- when this row was made, UTC
    event_key TEXT NOT NULL UNIQUE,         -- identity: second, predicted, actual, hash of the rest, phase (or @ and microseconds)
    timestamp_text TEXT NOT NULL,           -- the time exactly as logged
    actual_is_total INTEGER NOT NULL,       -- 1 for the fallback line: left out of every metric of ours
    logged_smape_percent REAL,              -- event line, as the executor rounded it; NULL in the fallback
    input_tokens INTEGER,                   -- [TOKEN_BUDGET]
    total_tokens INTEGER,                   -- [TOKEN_BUDGET]
    confidence REAL,                        -- [BUILD-129] Token estimate, 0..1
    attempt_index INTEGER,                  -- [MODEL-SELECT], counts from 0
    estimated_deliverable_count INTEGER,    -- [BUILD-129] Token estimate
    phase_outcome TEXT,                     -- first status of the phase after the event that is an outcome
    deliverables_source TEXT,               -- see docs/linking.md; NULL if none
    deliverables_complete INTEGER NOT NULL, -- 1 if deliverables_json holds them all
    run_source TEXT,                        -- kind of line that told the run; executor: its own row; NULL if none
    phase_source TEXT                       -- kind of line that told the phase; executor: its own row; NULL if none
);

CREATE INDEX token_estimation_v2_events_timestamp ON token_estimation_v2_events (timestamp);

-- One row for each log file that was read, whatever its name is now: its checkpoint and its counts.
CREATE TABLE log_sources (
    source_id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,                     -- the path that led to it last; '-' is standard input
    fingerprint TEXT NOT NULL,              -- hash of the first fingerprint_bytes bytes, decompressed
    fingerprint_bytes INTEGER NOT NULL,
    tail_fingerprint TEXT,                  -- hash of the 256 bytes before byte_offset; NULL: out of reach
    device INTEGER,                         -- hints that save work, never identity; NULL for a stream
    inode INTEGER,
    modified_ns INTEGER,
    size_bytes INTEGER NOT NULL,            -- of the file on disk when it was read last
    byte_offset INTEGER NOT NULL,           -- read up to here (decompressed): the checkpoint
    unread_bytes INTEGER NOT NULL,          -- left beyond it, for the next run
    encoding TEXT NOT NULL,
    compression TEXT,                       -- gzip, bzip2, xz, zstd; NULL if none
    timezone TEXT NOT NULL,                 -- in which its local times are read
    state TEXT NOT NULL,                    -- reading, complete, unterminated, unfinished, damaged, replaced, imported
    marker_lines INTEGER NOT NULL,          -- = sightings + rejects, always
    sightings INTEGER NOT NULL,             -- that were read: rows of event_sightings + pruned_sightings
    rejects INTEGER NOT NULL,               -- likewise: rows of rejected_lines + pruned_rejects
    legacy_lines INTEGER NOT NULL,          -- lines of the first telemetry format
    write_failures INTEGER NOT NULL,        -- 'Failed to write DB telemetry'
    skipped_events INTEGER NOT NULL,        -- events that the executor's own writer left out
    long_lines INTEGER NOT NULL,            -- lines beyond the limit of 1 MiB
    calls_without_telemetry INTEGER NOT NULL,   -- builder calls seen whose event line was not
    remembered TEXT NOT NULL,               -- JSON: what reading and linking need to go on
    first_seen TEXT NOT NULL,               -- when bytes of it were first read, UTC
    last_seen TEXT NOT NULL,                -- when bytes of it were last read, UTC
    real_path TEXT,                         -- where it was read last: a link's target, a rotation; NULL: not known
    ending TEXT,                            -- hash of the last 256 bytes on disk while its time is too fresh to trust
    pruned_sightings INTEGER NOT NULL DEFAULT 0,    -- of the sightings, those whose rows are not kept: see event_horizon
    pruned_rejects INTEGER NOT NULL DEFAULT 0,      -- of the rejects, likewise
    label TEXT,                             -- what tokentail.toml calls the logs of its folder; NULL: nothing
    host TEXT,                              -- machine that it was read on, in a database that was merged; NULL: here
    quoted_lines INTEGER,                   -- of the marker's occurrences, those quoted in other text; NULL: not counted
    unread_lines INTEGER,                   -- lines with the marker that are not understood; NULL: not counted
    prefix TEXT                             -- the template of a prefix of one's own that it is read with; NULL: none
);

-- At most one row, from `tokentail prune`: events from before it are not kept, however often they are read.
CREATE TABLE event_horizon (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    kept_from TEXT NOT NULL                 -- UTC, a whole second: an event has one side, whatever its fraction
);

-- One row for each place where an event was seen; many sightings, one event.
CREATE TABLE event_sightings (
    event_id INTEGER NOT NULL REFERENCES token_estimation_v2_events(event_id),
    source_id INTEGER NOT NULL REFERENCES log_sources(source_id),
    byte_offset INTEGER NOT NULL,           -- start of the line, in the decompressed file
    line_number INTEGER NOT NULL,           -- physical, from 1
    phase_known INTEGER NOT NULL,           -- 1 if the lines around it told the phase
    line_cut INTEGER NOT NULL DEFAULT 0,    -- 1 if no newline ended it: the end of its model may be missing
    own_values TEXT,                        -- JSON: what this place says itself; NULL: just what its event's row says
    PRIMARY KEY (source_id, byte_offset)
) WITHOUT ROWID;
CREATE INDEX event_sightings_cut ON event_sightings (event_id) WHERE line_cut = 1;
CREATE INDEX event_sightings_event ON event_sightings (event_id, own_values);

-- What files declare to be the deliverables of phases: see `tokentail deliverables import`.
CREATE TABLE phase_deliverables (
    source_id INTEGER NOT NULL REFERENCES log_sources(source_id),
    run_id TEXT NOT NULL,
    phase_id TEXT NOT NULL,
    deliverables_json TEXT NOT NULL,        -- JSON array of paths, at most 20, each at most 200 characters
    deliverables_complete INTEGER NOT NULL, -- 1 if deliverables_json holds them all
    PRIMARY KEY (source_id, run_id, phase_id)
) WITHOUT ROWID;

-- One row for each marker line that could not become an event. Nothing is dropped in silence.
CREATE TABLE rejected_lines (
    source_id INTEGER NOT NULL REFERENCES log_sources(source_id),
    byte_offset INTEGER NOT NULL,
    line_number INTEGER NOT NULL,
    reason TEXT NOT NULL,
    line TEXT NOT NULL,                     -- at most 4,000 characters; invalid bytes as \xNN
    PRIMARY KEY (source_id, byte_offset)
) WITHOUT ROWID;

-- One row for each invocation of ours; a follow keeps its own up to date, and begins another if it had to
-- open the database again.
CREATE TABLE ingest_runs (
    ingest_run_id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,                  -- ingest, backfill or follow
    started_at TEXT NOT NULL,
    finished_at TEXT,                       -- NULL: still running, or killed; of a follow: when it was last well
    exit_code INTEGER,                      -- NULL: still running, or killed
    files INTEGER NOT NULL,
    files_read INTEGER NOT NULL,            -- those with anything new
    bytes_read INTEGER NOT NULL,            -- decompressed
    marker_lines INTEGER NOT NULL,
    events_new INTEGER NOT NULL,
    events_updated INTEGER NOT NULL,
    further_sightings INTEGER NOT NULL,     -- of events that were known
    rejects INTEGER NOT NULL,
    problems INTEGER NOT NULL,              -- files that could not be read, or not wholly; of a follow: now
    timezone TEXT NOT NULL,                 -- in which times were read, several with commas; if none, that of new sources
    host TEXT NOT NULL,
    version TEXT NOT NULL
);

-- One row for each log or folder that could not be read, or not wholly, when it was tried last.
CREATE TABLE log_problems (
    path TEXT NOT NULL,
    code TEXT NOT NULL,                     -- its kind: unreadable, damaged, unfinished, not-a-log, vanished, folder
    text TEXT NOT NULL,                     -- as it was told
    first_seen TEXT NOT NULL,               -- when it was told first, UTC
    last_seen TEXT NOT NULL,                -- when it was found last, UTC
    PRIMARY KEY (path, code)
) WITHOUT ROWID;

-- One row for each time the executor repeated a call with more room (the executor's columns first).
CREATE TABLE token_budget_escalation_events (
    event_id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    phase_id TEXT NOT NULL,
    timestamp TEXT NOT NULL,                -- UTC
    attempt_index INTEGER NOT NULL,         -- as logged
    reason TEXT NOT NULL,                   -- truncation or utilization
    was_truncated INTEGER NOT NULL,         -- 0 or 1
    output_utilization REAL,                -- percent, where that was the reason
    escalation_factor REAL,                 -- NULL in the oldest form
    base_value INTEGER NOT NULL,            -- what the new ceiling was computed from
    base_source TEXT,                       -- which number that was; NULL in the older forms
    retry_max_tokens INTEGER NOT NULL,      -- the new ceiling
    selected_budget INTEGER,                -- of the phase's last event before it; NULL if none
    actual_max_tokens INTEGER,              -- likewise
    tokens_used INTEGER,                    -- likewise: its actual output
    created_at TEXT NOT NULL,
    escalation_key TEXT NOT NULL UNIQUE,    -- identity by content
    timestamp_text TEXT NOT NULL
);

-- One row for each place where an escalation was seen.
CREATE TABLE escalation_sightings (
    event_id INTEGER NOT NULL REFERENCES token_budget_escalation_events(event_id),
    source_id INTEGER NOT NULL REFERENCES log_sources(source_id),
    byte_offset INTEGER NOT NULL,           -- start of the line, in the decompressed file
    line_number INTEGER NOT NULL,           -- physical, from 1
    own_values TEXT,                        -- as of event_sightings
    PRIMARY KEY (source_id, byte_offset)
) WITHOUT ROWID;
CREATE INDEX escalation_sightings_event ON escalation_sightings (event_id);

-- Events that metrics may be computed over: parsed, whole, not a total, not too short to mean anything.
CREATE VIEW v_token_estimation_clean AS
SELECT *
FROM token_estimation_v2_events
WHERE success = 1 AND truncated = 0 AND actual_is_total = 0 AND actual_output_tokens >= 50;

-- The executor's validation view: one row for each stratum. A column called median is a median. Its waste is
-- that of all events that can be measured; "waste" in `tokentail report` is that of the clean ones alone.
CREATE VIEW v_token_estimation_validation AS
WITH measured AS (
    SELECT *,
        ROW_NUMBER() OVER (PARTITION BY category, complexity ORDER BY smape_percent) AS smape_place,
        ROW_NUMBER() OVER (PARTITION BY category, complexity ORDER BY waste_ratio) AS waste_place,
        COUNT(*) OVER (PARTITION BY category, complexity) AS stratum_size
    FROM token_estimation_v2_events
    WHERE actual_is_total = 0 AND smape_percent IS NOT NULL
)
SELECT
    category,
    complexity,
    COUNT(*) AS sample_count,
    AVG(smape_percent) AS avg_smape,
    AVG(CASE WHEN smape_place IN ((stratum_size + 1) / 2, (stratum_size + 2) / 2) THEN smape_percent END)
        AS median_smape,
    AVG(waste_ratio) AS avg_waste_ratio,
    AVG(CASE WHEN waste_place IN ((stratum_size + 1) / 2, (stratum_size + 2) / 2) THEN waste_ratio END)
        AS median_waste_ratio,
    AVG(underestimated) * 100.0 AS underestimation_rate_percent,
    AVG(truncated) * 100.0 AS truncation_rate_percent,
    AVG(success) * 100.0 AS success_rate_percent
FROM measured
GROUP BY category, complexity;

-- The executor's view of what happened lately.
CREATE VIEW v_recent_token_estimations AS
SELECT event_id, timestamp, run_id, phase_id, category, complexity, deliverable_count,
    predicted_output_tokens, actual_output_tokens, selected_budget, smape_percent, waste_ratio,
    underestimated, success, truncated, model
FROM token_estimation_v2_events
ORDER BY timestamp DESC, event_id DESC
LIMIT 100;

-- What became of each run. Tokens are those of answers whose actual is no total of input and output.
CREATE VIEW v_token_estimation_runs AS
SELECT run_id,
    COUNT(*) AS events,
    COUNT(DISTINCT phase_id) AS phases,
    MIN(timestamp) AS first_event,
    MAX(timestamp) AS last_event,
    COALESCE(SUM(CASE WHEN actual_is_total = 0 THEN predicted_output_tokens END), 0) AS predicted_output_tokens,
    COALESCE(SUM(CASE WHEN actual_is_total = 0 THEN actual_output_tokens END), 0) AS actual_output_tokens,
    COUNT(CASE WHEN success = 1 THEN 1 END) AS parsed,
    COUNT(CASE WHEN truncated = 1 THEN 1 END) AS truncated
FROM token_estimation_v2_events
GROUP BY run_id;

-- What became of each phase of a run: how often it was tried, and the outcome that its last try was told.
CREATE VIEW v_token_estimation_phases AS
SELECT run_id, phase_id,
    COUNT(*) AS tries,
    MIN(timestamp) AS first_event,
    MAX(timestamp) AS last_event,
    COALESCE(SUM(CASE WHEN actual_is_total = 0 THEN predicted_output_tokens END), 0) AS predicted_output_tokens,
    COALESCE(SUM(CASE WHEN actual_is_total = 0 THEN actual_output_tokens END), 0) AS actual_output_tokens,
    COUNT(CASE WHEN success = 1 THEN 1 END) AS parsed,
    COUNT(CASE WHEN truncated = 1 THEN 1 END) AS truncated,
    NULLIF(SUBSTR(MAX(timestamp || COALESCE(phase_outcome, '')), 27), '') AS phase_outcome
FROM token_estimation_v2_events
GROUP BY run_id, phase_id;

-- Each day, in UTC; `tokentail report --by day` has those of another zone.
CREATE VIEW v_token_estimation_days AS
SELECT DATE(timestamp) AS day,
    COUNT(*) AS events,
    COUNT(DISTINCT run_id) AS runs,
    COALESCE(SUM(CASE WHEN actual_is_total = 0 THEN predicted_output_tokens END), 0) AS predicted_output_tokens,
    COALESCE(SUM(CASE WHEN actual_is_total = 0 THEN actual_output_tokens END), 0) AS actual_output_tokens,
    COUNT(CASE WHEN success = 1 THEN 1 END) AS parsed,
    COUNT(CASE WHEN truncated = 1 THEN 1 END) AS truncated
FROM token_estimation_v2_events
GROUP BY DATE(timestamp);
