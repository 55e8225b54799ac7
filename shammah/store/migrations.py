"""How the database came to its present shape: functions that are run once and never edited.

`sqlite_utils.Migrations` runs each in one transaction together with the record that it ran.
Knows the tables, not what they are used for.
"""

from __future__ import annotations

from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from shammah.errors import StorageError


def create_turns(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE turns (
            sequence INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            created_at TEXT NOT NULL,
            base TEXT NOT NULL,
            version INTEGER NOT NULL,
            messages TEXT NOT NULL,
            answer TEXT NOT NULL,
            answer_sha256 BLOB NOT NULL,
            finish_reason TEXT NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX turns_by_answer ON turns (answer_sha256)")


def create_feedback(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE feedback (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            turn_id TEXT NOT NULL REFERENCES turns (id),
            level TEXT NOT NULL,
            weight INTEGER NOT NULL CHECK (weight >= 1),
            note TEXT,
            correction TEXT,
            created_at TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX feedback_by_turn ON feedback (turn_id)")


def create_examples(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE examples (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            turn_id TEXT NOT NULL UNIQUE REFERENCES turns (id),
            feedback_id INTEGER NOT NULL REFERENCES feedback (id),
            status TEXT NOT NULL CHECK (status IN ('draft', 'ready', 'forgotten')),
            level TEXT NOT NULL,
            weight INTEGER NOT NULL CHECK (weight >= 1),
            messages TEXT NOT NULL,
            target TEXT,
            rejected TEXT,
            note TEXT,
            content_hash TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            CHECK (status <> 'ready' OR target IS NOT NULL),
            CHECK (target <> rejected)
        ) STRICT
        """
    )
    db.execute("CREATE INDEX examples_by_status ON examples (status, id, content_hash)")
    db.execute("CREATE INDEX examples_by_feedback ON examples (feedback_id)")


def create_jobs(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE jobs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            base TEXT NOT NULL,
            mode TEXT NOT NULL,
            state TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            version INTEGER UNIQUE,
            error TEXT,
            hint TEXT,
            created_at TEXT NOT NULL,
            started_at TEXT,
            finished_at TEXT,
            progress TEXT NOT NULL,
            report TEXT
        ) STRICT
        """
    )
    db.execute("CREATE INDEX jobs_by_finish ON jobs (finished_at, id)")
    db.execute(
        """
        CREATE TABLE job_events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            job_id INTEGER NOT NULL REFERENCES jobs (id),
            at TEXT NOT NULL,
            kind TEXT NOT NULL,
            data TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX job_events_by_job ON job_events (job_id, id)")


def create_versions(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE versions (
            number INTEGER PRIMARY KEY,
            base TEXT NOT NULL,
            job_id INTEGER NOT NULL UNIQUE REFERENCES jobs (id),
            quantization TEXT NOT NULL,
            gguf TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            manifest TEXT NOT NULL,
            report TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE taught (
            version INTEGER NOT NULL REFERENCES versions (number),
            example_id INTEGER NOT NULL REFERENCES examples (id),
            content_hash TEXT NOT NULL,
            PRIMARY KEY (version, example_id)
        ) STRICT, WITHOUT ROWID
        """
    )


def create_verdicts(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE verdicts (
            example_id INTEGER NOT NULL REFERENCES examples (id),
            job_id INTEGER NOT NULL REFERENCES jobs (id),
            verdict TEXT NOT NULL,
            details TEXT NOT NULL,
            PRIMARY KEY (example_id, job_id)
        ) STRICT, WITHOUT ROWID
        """
    )


def create_pointer(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE pointer (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            base TEXT NOT NULL,
            version INTEGER NOT NULL,
            previous_id INTEGER REFERENCES pointer (id),
            moved_at TEXT NOT NULL
        ) STRICT
        """
    )


def add_rehearsal(db: Database) -> None:
    """Whether a version's own lesson trained on the example, or one that it builds on."""
    db.execute("ALTER TABLE taught ADD COLUMN trained INTEGER NOT NULL DEFAULT 1")


def widen_examples(db: Database) -> None:
    """More statuses. SQLite cannot change a CHECK, so the table is made anew
    (https://www.sqlite.org/lang_altertable.html#otheralter); its indices go with the old one.
    """
    kept = [
        row["sql"]
        for row in db.query(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'examples'"
            " AND type IN ('index', 'trigger') AND sql IS NOT NULL"
        )
    ]
    db.execute(
        """
        CREATE TABLE wider_examples (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            turn_id TEXT NOT NULL UNIQUE REFERENCES turns (id),
            feedback_id INTEGER NOT NULL REFERENCES feedback (id),
            status TEXT NOT NULL CHECK (
                status IN ('draft', 'held', 'ready', 'superseded', 'discarded', 'forgotten')
            ),
            level TEXT NOT NULL,
            weight INTEGER NOT NULL CHECK (weight >= 1),
            messages TEXT NOT NULL,
            target TEXT,
            rejected TEXT,
            note TEXT,
            content_hash TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            superseded_by INTEGER,
            CHECK (status NOT IN ('held', 'ready') OR target IS NOT NULL),
            CHECK (target <> rejected),
            CHECK ((status = 'superseded') = (superseded_by IS NOT NULL))
        ) STRICT
        """
    )
    db.execute("INSERT INTO wider_examples SELECT *, NULL FROM examples")
    db.execute("DROP TABLE examples")
    db.execute("ALTER TABLE wider_examples RENAME TO examples")
    for sql in kept:
        db.execute(sql)


def create_twins(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE twins (
            first_id INTEGER NOT NULL REFERENCES examples (id),
            second_id INTEGER NOT NULL REFERENCES examples (id),
            found_at TEXT NOT NULL,
            settled_at TEXT,
            PRIMARY KEY (first_id, second_id),
            CHECK (first_id < second_id)
        ) STRICT, WITHOUT ROWID
        """
    )


def index_turns_by_time(db: Database) -> None:
    db.execute("CREATE INDEX turns_by_time ON turns (created_at, base, version)")


def create_votes(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE votes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            first_base TEXT NOT NULL,
            first_version INTEGER NOT NULL,
            second_base TEXT NOT NULL,
            second_version INTEGER NOT NULL,
            better TEXT NOT NULL CHECK (better IN ('first', 'second', 'tie')),
            voted_at TEXT NOT NULL
        ) STRICT
        """
    )


def index_what_was_taught(db: Database) -> None:
    db.execute("CREATE INDEX taught_by_example ON taught (example_id)")


def add_job_told(db: Database) -> None:
    """When the user was told how the job ended. What has ended before is taken as told."""
    db.execute("ALTER TABLE jobs ADD COLUMN told_at TEXT")
    db.execute("UPDATE jobs SET told_at = finished_at")


def index_questions(db: Database) -> None:
    """A full-text index of every example's question, which triggers keep in step.

    It holds words, no text (https://www.sqlite.org/fts5.html#contentless_tables). Deleted ones stay
    in it until they are merged away: with a forgotten example, at once.
    """
    db.execute(
        "CREATE VIRTUAL TABLE questions USING fts5 (question, content = '', tokenize = 'porter')"
    )
    old, new = (f"json_extract({row}.messages, '$[#-1].content')" for row in ("old", "new"))
    add = f"INSERT INTO questions (rowid, question) VALUES (new.id, {new});"
    remove = (
        "INSERT INTO questions (questions, rowid, question) "
        f"VALUES ('delete', old.id, {old});"
    )  # fmt: skip
    purge = "INSERT INTO questions (questions) SELECT 'optimize' WHERE new.status = 'forgotten';"
    db.execute(f"CREATE TRIGGER question_added AFTER INSERT ON examples BEGIN {add} END")
    db.execute(f"CREATE TRIGGER question_deleted AFTER DELETE ON examples BEGIN {remove} END")
    db.execute(
        "CREATE TRIGGER question_changed AFTER UPDATE OF messages, status ON examples "
        f"BEGIN {remove} {add} {purge} END"
    )
    db.execute(
        "INSERT INTO questions (rowid, question) "
        "SELECT id, json_extract(messages, '$[#-1].content') FROM examples"
    )


def record_injected_examples(db: Database) -> None:
    db.execute("ALTER TABLE turns ADD COLUMN injected TEXT NOT NULL DEFAULT '[]'")


def index_examples_by_update(db: Database) -> None:
    """For the check after every feedback whether a lesson is due."""
    db.execute("CREATE INDEX examples_by_update ON examples (updated_at)")


def detach_examples(db: Database) -> None:
    """An example may come from a file: then it has no turn and no feedback. The table is made anew,
    as in `widen_examples`."""
    kept = [
        row["sql"]
        for row in db.query(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'examples'"
            " AND type IN ('index', 'trigger') AND sql IS NOT NULL"
        )
    ]
    db.execute(
        """
        CREATE TABLE detached_examples (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            turn_id TEXT UNIQUE REFERENCES turns (id),
            feedback_id INTEGER REFERENCES feedback (id),
            status TEXT NOT NULL CHECK (
                status IN ('draft', 'held', 'ready', 'superseded', 'discarded', 'forgotten')
            ),
            level TEXT NOT NULL,
            weight INTEGER NOT NULL CHECK (weight >= 1),
            messages TEXT NOT NULL,
            target TEXT,
            rejected TEXT,
            note TEXT,
            content_hash TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            superseded_by INTEGER,
            source TEXT,
            CHECK ((turn_id IS NULL) = (feedback_id IS NULL)),
            CHECK (status NOT IN ('held', 'ready') OR target IS NOT NULL),
            CHECK (target <> rejected),
            CHECK ((status = 'superseded') = (superseded_by IS NOT NULL))
        ) STRICT
        """
    )
    db.execute("INSERT INTO detached_examples SELECT *, NULL FROM examples")
    db.execute("DROP TABLE examples")
    db.execute("ALTER TABLE detached_examples RENAME TO examples")
    for sql in kept:
        db.execute(sql)


def create_uploads(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE uploads (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            filename TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            created_at TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE upload_lines (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            upload_id TEXT NOT NULL REFERENCES uploads (id),
            number INTEGER NOT NULL,
            text TEXT NOT NULL,
            example_id INTEGER REFERENCES examples (id),
            UNIQUE (upload_id, number)
        ) STRICT
        """
    )


def create_tunings(db: Database) -> None:
    """What was asked for outlives its file: `upload_id` names one that may be gone."""
    db.execute(
        """
        CREATE TABLE tunings (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            job_id INTEGER NOT NULL REFERENCES jobs (id),
            upload_id TEXT NOT NULL,
            model TEXT NOT NULL,
            suffix TEXT,
            metadata TEXT,
            request_sha256 TEXT NOT NULL,
            idempotency_key TEXT UNIQUE,
            added INTEGER NOT NULL,
            duplicates INTEGER NOT NULL,
            held INTEGER NOT NULL,
            created_at TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX tunings_by_job ON tunings (job_id, id)")
    db.execute("CREATE INDEX tunings_by_request ON tunings (request_sha256, id)")


def add_job_durability(db: Database) -> None:
    """Where a job works, its last sign of life, why it is paused, and what was tried."""
    for column in ("stage", "heartbeat_at", "paused_for"):
        db.execute(f"ALTER TABLE jobs ADD COLUMN {column} TEXT")
    db.execute("ALTER TABLE jobs ADD COLUMN tried TEXT NOT NULL DEFAULT '[]'")


def add_job_cause(db: Database) -> None:
    """Why a job was started. Those from before are taken as the user's."""
    db.execute(
        "ALTER TABLE jobs ADD COLUMN cause TEXT NOT NULL DEFAULT 'user' "
        "CHECK (cause IN ('user', 'threshold', 'night'))"
    )


def create_due_times(db: Database) -> None:
    """Up to when a schedule's times are dealt with, as a clock on the wall shows it."""
    db.execute(
        """
        CREATE TABLE due_times (
            name TEXT PRIMARY KEY,
            cron TEXT NOT NULL,
            settled_until TEXT NOT NULL
        ) STRICT
        """
    )


def add_version_pruned(db: Database) -> None:
    db.execute("ALTER TABLE versions ADD COLUMN pruned_at TEXT")


def create_sessions(db: Database) -> None:
    """Conversations, and a full-text index of what was asked and answered, as of `questions`."""
    db.execute(
        """
        CREATE TABLE sessions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT,
            created_at TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE session_turns (
            session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            kept INTEGER NOT NULL,
            PRIMARY KEY (session_id, turn_id)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX sessions_by_turn ON session_turns (turn_id)")
    db.execute(
        "CREATE VIRTUAL TABLE said USING fts5 "
        "(question, answer, content = '', tokenize = 'porter unicode61')"
    )
    old, new = (
        f"{row}.sequence, json_extract({row}.messages, '$[#-1].content'), {row}.answer"
        for row in ("old", "new")
    )
    add = f"INSERT INTO said (rowid, question, answer) VALUES ({new});"
    remove = f"INSERT INTO said (said, rowid, question, answer) VALUES ('delete', {old});"
    db.execute(f"CREATE TRIGGER said_added AFTER INSERT ON turns BEGIN {add} END")
    db.execute(f"CREATE TRIGGER said_deleted AFTER DELETE ON turns BEGIN {remove} END")
    db.execute(
        "CREATE TRIGGER said_changed AFTER UPDATE OF messages, answer ON turns "
        f"BEGIN {remove} {add} END"
    )
    db.execute(
        "INSERT INTO said (rowid, question, answer) "
        "SELECT sequence, json_extract(messages, '$[#-1].content'), answer FROM turns"
    )


def number_changes(db: Database) -> None:
    """Every change of an example gets the next number, and a job keeps the newest one of when it
    was begun: what came after it is told by order, not by a clock that may go back."""
    db.execute("ALTER TABLE examples ADD COLUMN change INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE jobs ADD COLUMN tried_change INTEGER")
    db.execute(
        "UPDATE examples SET change = numbered.change FROM "
        "(SELECT id, row_number() OVER (ORDER BY updated_at, id) AS change FROM examples) "
        "AS numbered WHERE examples.id = numbered.id"
    )
    db.execute(
        "UPDATE jobs SET tried_change = (SELECT coalesce(max(change), 0) FROM examples "
        "WHERE updated_at <= coalesce(started_at, jobs.created_at)) "
        "WHERE started_at IS NOT NULL OR finished_at IS NOT NULL"
    )
    db.execute("DROP INDEX examples_by_update")
    db.execute("CREATE INDEX examples_by_change ON examples (change)")
    number = (
        "UPDATE examples SET change = (SELECT coalesce(max(change), 0) + 1 FROM examples) "
        "WHERE id = new.id;"
    )
    db.execute(f"CREATE TRIGGER example_numbered AFTER INSERT ON examples BEGIN {number} END")
    db.execute(
        "CREATE TRIGGER example_renumbered AFTER UPDATE OF updated_at ON examples "
        f"BEGIN {number} END"
    )


def add_job_recipe(db: Database) -> None:
    """How a job trains: what was asked for it, and what that came to."""
    db.execute("ALTER TABLE jobs ADD COLUMN preset TEXT NOT NULL DEFAULT 'standard'")
    db.execute("ALTER TABLE jobs ADD COLUMN options TEXT NOT NULL DEFAULT '{}'")
    db.execute("ALTER TABLE jobs ADD COLUMN recipe TEXT")


def create_loaded_adapters(db: Database) -> None:
    """Which adapters are added to what serves of a base, and which of them gave an answer."""
    db.execute(
        """
        CREATE TABLE loaded_adapters (
            base TEXT NOT NULL,
            name TEXT NOT NULL,
            scale REAL NOT NULL,
            PRIMARY KEY (base, name)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("ALTER TABLE turns ADD COLUMN adapters TEXT NOT NULL DEFAULT '[]'")


def add_job_estimate(db: Database) -> None:
    """What a job was estimated to take when it was queued, and what it took, as JSON."""
    db.execute("ALTER TABLE jobs ADD COLUMN estimate TEXT")
    db.execute("ALTER TABLE jobs ADD COLUMN took TEXT")


def index_what_is_asked(db: Database) -> None:
    """What every ready example is compared with others by (`feedback.twins.keys`), and which are
    still to be compared.

    The keys of one that changes go at once. Those that are in the same words are compared again
    then: what was between two of them may have gone.
    """
    db.execute(
        """
        CREATE TABLE asked (
            rest INTEGER NOT NULL,
            word TEXT NOT NULL,
            example_id INTEGER NOT NULL REFERENCES examples (id) ON DELETE CASCADE,
            PRIMARY KEY (rest, word, example_id)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX asked_by_example ON asked (example_id)")
    db.execute("CREATE INDEX twins_by_second ON twins (second_id)")
    db.execute(
        """
        CREATE TABLE uncompared (
            example_id INTEGER PRIMARY KEY REFERENCES examples (id) ON DELETE CASCADE
        ) STRICT
        """
    )
    db.execute("INSERT INTO uncompared SELECT id FROM examples WHERE status = 'ready'")
    note = "INSERT INTO uncompared SELECT new.id WHERE new.status = 'ready' ON CONFLICT DO NOTHING;"
    db.execute(f"CREATE TRIGGER example_uncompared AFTER INSERT ON examples BEGIN {note} END")
    db.execute(
        "CREATE TRIGGER example_outdated AFTER UPDATE OF messages, status ON examples "
        "WHEN old.messages IS NOT new.messages OR old.status IS NOT new.status "
        f"BEGIN DELETE FROM asked WHERE example_id = new.id; {note} END"
    )
    db.execute(
        "CREATE TRIGGER neighbours_uncompared AFTER DELETE ON asked WHEN old.word = '' "
        "BEGIN INSERT INTO uncompared SELECT example_id FROM asked "
        "WHERE rest = old.rest AND word = '' ON CONFLICT DO NOTHING; END"
    )


def number_turns_of_sessions(db: Database) -> None:
    """A session's turns by their number, only those kept that say something, and how many they are:
    a list of all sessions reads no turn but the first and the last of each."""
    db.execute(
        """
        CREATE TABLE numbered_turns (
            session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            sequence INTEGER NOT NULL REFERENCES turns (sequence) ON DELETE CASCADE,
            kept INTEGER NOT NULL,
            PRIMARY KEY (session_id, sequence)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        "INSERT INTO numbered_turns SELECT session_id, sequence, kept AND answer <> '' "
        "FROM session_turns JOIN turns ON turns.id = turn_id"
    )
    db.execute("DROP TABLE session_turns")
    db.execute("ALTER TABLE numbered_turns RENAME TO session_turns")
    db.execute("CREATE INDEX sessions_by_turn ON session_turns (sequence)")
    db.execute(
        "CREATE TRIGGER turn_silenced AFTER UPDATE OF answer ON turns WHEN new.answer = '' BEGIN "
        "UPDATE session_turns SET kept = 0 WHERE sequence = new.sequence; END"
    )
    db.execute("ALTER TABLE sessions ADD COLUMN exchanges INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE sessions ADD COLUMN first INTEGER")
    db.execute("ALTER TABLE sessions ADD COLUMN last INTEGER")
    count = (
        "UPDATE sessions SET (exchanges, first, last) = "
        "(SELECT count(*), min(sequence), max(sequence) FROM session_turns "
        "WHERE session_id = sessions.id AND kept)"
    )
    db.execute(count)
    for event, row in (("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")):
        db.execute(
            f"CREATE TRIGGER session_counted_after_{event.lower()} AFTER {event} ON session_turns "
            f"BEGIN {count} WHERE id = {row}.session_id; END"
        )


#: In the order in which they are run. Add at the end; never edit, never remove.
STEPS = (
    create_turns,
    create_feedback,
    create_examples,
    create_jobs,
    create_versions,
    create_verdicts,
    create_pointer,
    add_rehearsal,
    widen_examples,
    create_twins,
    index_turns_by_time,
    create_votes,
    index_what_was_taught,
    add_job_told,
    index_questions,
    record_injected_examples,
    index_examples_by_update,
    detach_examples,
    create_uploads,
    create_tunings,
    add_job_durability,
    add_job_cause,
    create_due_times,
    add_version_pruned,
    create_sessions,
    number_changes,
    add_job_recipe,
    create_loaded_adapters,
    add_job_estimate,
    index_what_is_asked,
    number_turns_of_sessions,
)


def migrate(db: Database, path: Path) -> None:
    """Bring the database to the present shape.

    Raises:
        StorageError: a newer program has migrated this file; nothing is changed.
    """
    migrations = Migrations("shammah")
    for step in STEPS:
        migrations()(step)
    known = {step.__name__ for step in STEPS}
    unknown = [applied.name for applied in migrations.applied(db) if applied.name not in known]
    if unknown:
        raise StorageError(
            f"{path} was written by a newer Shammah (migration {unknown[0]!r} is unknown here)",
            hint="update Shammah, or set SHAMMAH_HOME to another folder",
        )
    migrations.apply(db)
