"""Every finding code with its title and what `agenthost explain CODE` says about it. Codes are never reused.

AH0 syntax, 1 schema, 2 meaning and imports, 3 environment and secrets, 4 server and credentials, 5 reload,
9 deprecation.
"""

from msgspec import Struct


class Code(Struct, frozen=True, kw_only=True):
    """`title` is one line; `text` says when it is reported and what to do."""

    code: str
    title: str
    text: str


def _codes(*rows: tuple[str, str, str]) -> dict[str, Code]:
    return {code: Code(code=code, title=title, text=text) for code, title, text in rows}


_SYNTAX = _codes(
    (
        "AH001",
        "the file cannot be read",
        "It is not there, is a folder, or may not be read. Name it as an argument, in AGENTHOST_CONFIG, or "
        "call it agenthost.yaml.",
    ),
    ("AH002", "not text", "The file holds bytes that are not UTF-8, or control characters. Save it as UTF-8."),
    (
        "AH003",
        "not valid YAML",
        "The YAML cannot be parsed at this place; often the cause stands a little before it: a quote or "
        "bracket that is not closed, or an indentation that differs from the lines around it.",
    ),
    ("AH004", "the file is empty", "At least an `entrypoint` is needed."),
    ("AH005", "not a mapping", "The file must consist of `key: value` lines."),
    (
        "AH006",
        "too large",
        "A file has at most 1 MiB, is at most 40 levels deep, and its aliases unfold into at most 50 000 "
        "values. Put long texts in files of their own and refer to them with `${file:PATH}`.",
    ),
    (
        "AH007",
        "tags are not supported",
        "`!tag` and `!!type` are not read. Text goes in quotes; everything else is recognised as it is.",
    ),
    (
        "AH008",
        "an alias or merge key that cannot work",
        "An alias may not contain itself, and `<<` merges mappings only.",
    ),
    ("AH009", "a tab indents", "YAML indents with blanks only."),
    (
        "AH010",
        "quotes are needed",
        "To YAML, some characters mean something at the start of a text (`*` `&` `@` `%` and the backtick) or"
        " inside one (`: ` everywhere, `{` and `,` inside `{ … }`). Put such a text in quotes; a regex with "
        "backslashes in single ones.",
    ),
    ("AH011", "more than one document", "A file holds one document: no `---` after the first line."),
    (
        "AH012",
        "a key is not text",
        "Keys are plain text. A template such as `{{ name }}` is a mapping to YAML: agenthost has no "
        "templating, `${NAME}` takes values from the environment.",
    ),
)

_SCHEMA = _codes(
    (
        "AH101",
        "unknown key",
        "No such key exists here. `agenthost explain` lists the keys; keys that only hold anchors start with "
        "`x-` and stand at the top level.",
    ),
    ("AH102", "defined twice", "The same key is written twice in one mapping. YAML would silently keep the last one."),
    (
        "AH103",
        "a key of another system",
        "The key has this name in livekit-agents or elsewhere; the hint says how it is called here.",
    ),
    (
        "AH104",
        "a key in the wrong place",
        "`agent_name`, `entrypoint` and `prewarm` belong to one agent, and so does `load.custom`: beside "
        "`agents:` they would have to be shared.",
    ),
    ("AH105", "not available yet", "The key is planned for a later version."),
    (
        "AH110",
        "wrong type",
        "The value is not of the kind that the key takes. Numbers and booleans stand without quotes, texts "
        "that look like them with quotes.",
    ),
    ("AH111", "not an allowed value", "The key takes one of a few words."),
    ("AH112", "out of range", "The number is too small or too large."),
    ("AH113", "wrong form", "The text is not built as this key needs it; the message says how."),
    ("AH114", "a key is missing", "This section cannot do without the key."),
    (
        "AH120",
        "not a duration",
        "Durations are numbers with a unit, from large to small: `500ms`, `10s`, `30m`, `1h30m`. A bare "
        "number is refused, for nobody can tell seconds from minutes.",
    ),
    ("AH121", "not a size", "Sizes are numbers with a unit: `MB`, `GB` count by 1000, `MiB`, `GiB` by 1024."),
    ("AH122", "not a ratio", "Ratios are written `70%` or `0.7`."),
    ("AH124", "not a boolean", "Booleans are `true` and `false`. `yes`, `no`, `on` and `off` are texts here."),
    (
        "AH125",
        "a text that looks like a boolean",
        "`True`, `FALSE` and `Null` are texts here; the boolean is `true`, nothing is `null`. Put the text in quotes "
        "if it is one.",
    ),
    (
        "AH130",
        "a newer version of the file",
        "The file says `version: N` for an N that this agenthost does not know. Upgrade agenthost.",
    ),
)

_MEANING = _codes(
    (
        "AH201",
        "no code to run",
        "Every agent needs an `entrypoint`, unless each of its rules that accept names another `agent` and "
        "`otherwise` does not accept.",
    ),
    ("AH202", "no agents", "`agents:` is there but empty."),
    (
        "AH203",
        "registered twice",
        "Two agents would register with the same agent_name, type and deployment, and the server would give "
        "each of them half of the jobs.",
    ),
    (
        "AH214",
        "hidden and publishing",
        "A hidden participant cannot publish: the server refuses its tracks. Set `can_publish: false` to say "
        "that this is meant.",
    ),
    (
        "AH215",
        "for type room only",
        "`restart` and `recovery` bring a job back by dispatching it anew, which is only possible for `type: room`.",
    ),
    (
        "AH216",
        "a variable that cannot be set here",
        "Variables that the Python interpreter, the loader or a native library read when a process starts "
        "have no effect in `env`: the processes are forked from one that has started long before. Set them "
        "for agenthost itself.",
    ),
    (
        "AH218",
        "a variable that jobs do not see",
        "Jobs get neither key nor secret: `ctx.api` works with a token. Code that needs the pair itself has "
        "`livekit.secret_in_jobs: true`.",
    ),
    ("AH219", "unknown time zone", "`timezone` takes an IANA name."),
    ("AH220", "unknown profile", "`--profile` names one of the file's `profiles`."),
    (
        "AH221",
        "more idle processes than jobs",
        "`num_idle_processes` is larger than `load.max_jobs`, so some processes would never be used.",
    ),
    ("AH222", "no such folder", "`working_dir` does not exist."),
    (
        "AH223",
        "a test without a known agent",
        "In a file of several agents each test says which of them gets the request.",
    ),
    ("AH224", "not a moment", "`at` takes a moment in ISO 8601: `2026-03-02T10:00:00+01:00`."),
    (
        "AH225",
        "a test that cannot be run",
        "The `request` of a test is written by the paths that rules use, and what it expects has to exist: an agent of "
        "the file, a rule of the agent that gets the request.",
    ),
    (
        "AH226",
        "a shared prewarm of code that is not shared",
        "`prewarm.shared` runs in the template, which has the code only under `imports: shared`.",
    ),
    (
        "AH230",
        "unknown path in a condition",
        "`when` knows the paths `job.*`, `room.*`, `participant.*`, `agent.jobs`, `time.*` and `sample`.",
    ),
    ("AH231", "a path that this type has not", "Jobs of `type: room` have no participant."),
    (
        "AH232",
        "a condition of the wrong shape",
        "A condition is a mapping of `path: matcher`; `any` and `all` take lists of such mappings, `not` one.",
    ),
    (
        "AH233",
        "a matcher that cannot work",
        'Matchers are a glob, a `/regex/`, a value, a list of these, a range such as `"8..18"`, or a mapping '
        "of `gt`, `ge`, `lt`, `le`, `not`, `exists`, `in`.",
    ),
    (
        "AH234",
        "an attribute compared with something else",
        "Attributes are strings: `true` or `7` without quotes never equals one.",
    ),
    (
        "AH235",
        "a regex that cannot be used",
        "Regexes run in linear time: look-around and back-references do not exist.",
    ),
    (
        "AH240",
        "unknown placeholder",
        "Texts of `accept` know `{job.*}`, `{room.*}`, `{participant.*}`, `{agent.id}` and `{agent.name}`.",
    ),
    ("AH241", "a reserved attribute", "Attributes whose names start with `lk.` belong to LiveKit."),
    (
        "AH242",
        "an identity that cannot be unique",
        "Publisher and participant jobs share a room. With the same identity each new one would push the one "
        "before out of it.",
    ),
    ("AH243", "the same identity for every job", "A second agent in one room would push the first one out."),
    ("AH250", "a rule that never decides", "An earlier rule matches everything that this one does."),
    (
        "AH251",
        "an agent that cannot be named",
        "A rule names an agent that does not exist, or that has no `entrypoint` to run.",
    ),
    ("AH252", "a rule that widens permissions", "A rule can only narrow what its agent and the agent it names may do."),
    ("AH253", "an agent of another type", "A rule can only name an agent of its own `type`."),
    (
        "AH254",
        "a name that cannot be used for a rule",
        "Rule names are unique within an agent, and `otherwise` is taken.",
    ),
    ("AH255", "two actions at once", "`agent` accepts; it cannot stand beside another `action`."),
    ("AH260", "not a reference to code", "Code is named as `package.module:attribute`."),
    ("AH261", "no such module", "The module is found neither beside the file nor among the installed packages."),
    ("AH262", "the module is not valid Python", "The file was found but cannot be parsed."),
    ("AH263", "no such attribute", "The module was found but does not define the name."),
    (
        "AH264",
        "the wrong kind of thing",
        "The name exists but is not what the key needs: an entrypoint and a handler are `async def` functions.",
    ),
    ("AH265", "the import fails", "Importing the module raised an exception, shown as it was (`validate --import`)."),
    ("AH266", "the import does not end", "Importing the module took longer than the limit (`validate --import`)."),
    (
        "AH267",
        "a library that is not shared",
        "A library that starts a thread, or opens a connection or an event loop, when it is imported cannot be "
        "imported once for all: every process imports it anew, which takes time and memory (`validate --import`).",
    ),
    (
        "AH268",
        "the import ends the process",
        "Importing the module called `os._exit` or crashed in native code, so no job could ever start "
        "(`validate --import`).",
    ),
    (
        "AH269",
        "options without effect",
        "The code gives livekit-agents options that its own host would follow, and agenthost does not: what holds "
        "instead is told for each (`validate --import`).",
    ),
    (
        "AH270",
        "shared by all jobs",
        "Under `imports: shared` the import leaves a file open for writing, a datagram socket or a random generator, "
        "with which all jobs work at once (`validate --import`).",
    ),
    (
        "AH271",
        "threads in every interpreter",
        "Something that every interpreter of this environment imports, as `sitecustomize` or a wrapper of the command, "
        "starts a thread: nothing can be forked, and every process is started anew (`validate --import`).",
    ),
)

_ENVIRONMENT = _codes(
    (
        "AH301",
        "no LiveKit server",
        "Set LIVEKIT_URL or write `livekit.url`. `agenthost dev` starts a local server without it; `start` "
        "refuses, and `validate` warns.",
    ),
    (
        "AH302",
        "no credentials",
        "Set LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or write `livekit.api_key` and `livekit.api_secret` as "
        "references.",
    ),
    (
        "AH303",
        "a secret in the file",
        "`livekit.api_key` and `livekit.api_secret` are only taken as `${NAME}`, `${NAME:?message}` or "
        "`${file:PATH}`, so that they do not end up in a repository.",
    ),
    (
        "AH304",
        "a variable is not set",
        "A `${NAME}` names a variable that neither the environment nor the env file has. `--no-secrets` lets "
        "`validate` pass over it.",
    ),
    (
        "AH305",
        "a file cannot be read",
        "A `${file:PATH}` names a file that is not there, larger than 1 MiB, or not UTF-8.",
    ),
    (
        "AH306",
        "a malformed reference",
        "References are `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `${file:PATH}`. `$${` stands "
        "for a literal `${`.",
    ),
    ("AH307", "the env file cannot be read", "`env_file` or `--env-file` names a file that is not there."),
    (
        "AH308",
        "a malformed env file",
        "It is read as python-dotenv does: `NAME=value`, with or without `export` and quotes, which may hold several "
        "lines. A line that is none of that is passed over, and not shown, for it may be a secret.",
    ),
    ("AH309", "not a LiveKit URL", "The URL starts with ws://, wss://, http:// or https:// and names a host."),
    (
        "AH310",
        "not a proxy",
        "`livekit.proxy`, else HTTPS_PROXY or HTTP_PROXY, is the URL of an HTTP proxy: it starts with http:// or "
        "https:// and names a host.",
    ),
    (
        "AH311",
        "not UTF-8",
        "The server's URL, key and secret, and `agent_name` and `deployment` go to the LiveKit server, which takes "
        "UTF-8 only; a variable can hold any bytes.",
    ),
)

_SERVER = _codes(
    ("AH401", "the LiveKit server does not answer", "`validate --connect` could not reach the server."),
    (
        "AH402",
        "the LiveKit server refuses the credentials",
        "`validate --connect` reached the server, and it knows another key or secret.",
    ),
    (
        "AH403",
        "the clocks differ",
        "Tokens are valid for a time; when this machine's clock and the server's differ by more than a few "
        "seconds, they are refused.",
    ),
)

CODES: dict[str, Code] = {**_SYNTAX, **_SCHEMA, **_MEANING, **_ENVIRONMENT, **_SERVER}
