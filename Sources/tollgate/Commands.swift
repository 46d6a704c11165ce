import Gateway
import Reactor

extension Command {
  /// All of them, in the order in which help lists them.
  static let all: [Command] = [
    run, check, explain, reload, health, logs, top, demo, schema, completions, version, helping,
  ]

  static func named(_ name: String) -> Command? { all.first { $0.name == name } }

  static let run: Command = Command(
    name: "run", forms: ["[ROUTES] [OPTION…]"],
    summary: "serve what the routes file says",
    about: """
      Serves what the routes file says until SIGTERM or SIGINT; SIGHUP has it read again, SIGUSR1
      opens the access log anew. ROUTES is routes.json here, else /etc/tollgate/routes.json.
      """,
    arguments: .routes,
    options: [
      Option("--watch", help: "and read it again whenever it changes"),
      Option(
        "--log-format", value: .words(OperatorLineFormat.allCases.map(\.rawValue)),
        help: "how it writes what it says itself: text (default), or JSON, a line each"),
    ],
    exitStatus: """
      0 it was ended, 1 the routes file or what it names is wrong, 2 usage, 3 it
      could not run (an address in use…).
      """,
    action: RunCommand.run)

  static let check: Command = Command(
    name: "check", forms: ["[ROUTES] [OPTION…]"],
    summary: "say what is wrong with a routes file, and start nothing",
    about: """
      Loads a routes file as run does, with all that it names, and says everything that is wrong or
      deserves a second look. ROUTES is routes.json here, else /etc/tollgate/routes.json.
      """,
    arguments: .routes,
    options: [
      Option("--live", help: "ask every issuer, token service and server that it names once")
    ],
    exitStatus: "0 well, 1 something is wrong, 2 usage, 3 it could not run.",
    action: CheckCommand.run)

  static let explain: Command = Command(
    name: "explain",
    forms: ["[ROUTES] METHOD URL [OPTION…]", "[ROUTES] --id REQUEST [--log FILE]"],
    summary: "say what would happen to a request and why, step by step",
    about: """
      Says what the gateway would do with a request and why: the route and the ones that nearly
      match, the token's claims and checks, who its caller is, the exchange, the request that the
      service would get. Nothing is sent to anybody, and no secret is needed. URL may be a path
      alone. ROUTES is routes.json here, else /etc/tollgate/routes.json.
      """,
    arguments: .routes,
    options: [
      Option(
        "--token", value: .file("FILE|-"),
        help: "the caller's token, in a file or on standard input; never an argument, which "
          + "other users of the machine could read"),
      Option(
        "--header", "-H", value: .text("'Name: value'"),
        help: "a field of the request; may be given several times"),
      Option(
        "--listener", value: .text("NAME"),
        help: "the listener that it comes in by, in place of the one that fits best"),
      Option(
        "--live",
        help: "ask the token's issuer for its keys and metadata, and check the signature (keys "
          + "in a file are read without it)"),
      Option(
        "--id", value: .text("REQUEST"),
        help: "a request of the access log, by its id: what its line means, and the route that "
          + "it finds now"),
      Option(
        "--log", value: .file("FILE"),
        help: "the access log, in place of the one that the routes file names; \"-\" is "
          + "standard input, and files that end in .gz are unpacked"),
      Option("--json", help: "one JSON object"),
      color, noColor,
    ],
    exitStatus: """
      0 it would be forwarded or answered, 1 the routes file, the token's file or the
      log is wrong or can't be read, 2 usage, 3 the system refuses what is needed, 4 it would be
      refused (or was).
      """,
    action: ExplainCommand.run)

  static let reload: Command = Command(
    name: "reload", forms: ["[ADMIN]"],
    summary: "have a running gateway read its routes file again, and say what changed",
    about: """
      Has a running gateway read its routes file again and waits for the outcome: what changed, or
      why nothing did. ADMIN is its admin address; where none is given, the one that routes.json
      here, or else /etc/tollgate/routes.json, names.
      """,
    arguments: .admin,
    exitStatus: """
      0 it runs the routes file now, 1 that is wrong and what ran before goes on,
      2 usage, 3 no gateway answers there, or it could not.
      """,
    action: ReloadCommand.run)

  static let health: Command = Command(
    name: "health", forms: ["[ADMIN]"],
    summary: "say whether a running gateway can serve, and what is missing",
    about: """
      Asks a running gateway's /readyz, for images without a shell. ADMIN is its admin address;
      where none is given, the one that routes.json here, or else /etc/tollgate/routes.json, names.
      """,
    arguments: .admin,
    exitStatus: "0 it can serve, 1 it can't, 2 usage, 3 no gateway answers there.",
    action: HealthCommand.run)

  static let logs: Command = Command(
    name: "logs", forms: ["[FILE…] [OPTION…]"],
    summary: "show an access log: aligned, filtered, followed or summed up",
    about: """
      Shows an access log (formats json, otel and ecs; files that end in .gz too). Without FILE it
      is standard input, or, at a terminal, the log that the routes file here names. "-" is
      standard input as well.
      """,
    arguments: .files,
    options: [
      Option(
        "--where", value: .text("FIELD=VALUE"),
        help: "only lines whose field has that value; also FIELD!=VALUE, and FIELD>NUMBER, >=, "
          + "<, <=. VALUE may end in *, a status may be 4xx, and an empty VALUE means that the "
          + "field is absent. Several must all hold"),
      Option("--route", value: .text("NAME"), help: "the same as --where route=NAME"),
      Option("--refused", help: "only requests that were turned away"),
      Option(
        "--since", value: .text("TIME"),
        help: "not older than: 10m, 2h, 3d ago, or 2026-11-25T09:00:00Z"),
      Option("--until", value: .text("TIME"), help: "older than"),
      Option(
        "--follow", "-f", help: "go on with what is written from now on, also after a rotation"),
      Option("--summary", help: "counts, percentiles, refusals, slowest, callers"),
      Option("--json", help: "the lines as they are in the file"),
      color, noColor,
    ],
    exitStatus: """
      0 well, 1 a file could not be read or nothing of it be understood, or no line
      has a field that --where asks for, 2 usage.
      """,
    action: LogsCommand.run)

  static let top: Command = Command(
    name: "top", forms: ["[ADMIN] [OPTION…]"],
    summary: "show a running gateway live: rates, latencies, refusals, servers",
    about: """
      Shows what a running gateway does, anew every two seconds, until Ctrl-C. ADMIN is its admin
      address; where none is given, the one that routes.json here, or else
      /etc/tollgate/routes.json, names.
      """,
    arguments: .admin,
    options: [
      Option("--every", value: .text("TIME"), help: "1s, 5s, 1m: another pace"),
      Option("--once", help: "one look at what comes within a second, for a pipe or a file"),
      Option("--json", help: "the gateway's own document, once"),
    ],
    exitStatus: "0 well, 2 usage, 3 no gateway answers there.",
    action: TopCommand.run)

  static let demo: Command = Command(
    name: "demo", forms: ["[--once]"],
    summary: "a whole system on this machine to try it out",
    about: """
      Runs an identity provider, a token service, two services and the gateway, and says what to
      try. It listens on 127.0.0.1 and nowhere else: its identity provider gives tokens without a
      password.
      """,
    options: [Option("--once", help: "walk through it, check what is seen, and end")],
    exitStatus: "0 well (with --once: all of it held), 1 something did not hold, 2 usage, 3 it\n"
      + "could not run.",
    action: DemoCommand.run)

  static let schema: Command = Command(
    name: "schema",
    summary: "print the JSON Schema of the routes file, for editors",
    action: { arguments throws(Wrong) in
      _ = try Options.arguments(arguments, of: .schema, max: 0)
      return Output.bytes(RoutesFile.schema)
    })

  static let completions: Command = Command(
    name: "completions", forms: ["bash|zsh|fish"],
    summary: "print what completes these commands in a shell",
    about: """
      Prints what has a shell complete commands, options and files. For one session:
        source <(tollgate completions bash)        (zsh likewise)
        tollgate completions fish | source
      For all of them, put it where the shell looks for such files, for example
        tollgate completions bash > /etc/bash_completion.d/tollgate
        tollgate completions zsh > /usr/local/share/zsh/site-functions/_tollgate
        tollgate completions fish > ~/.config/fish/completions/tollgate.fish
      """,
    arguments: .words(Completions.Shell.allCases.map(\.rawValue)),
    action: Completions.run)

  static let version: Command = Command(
    name: "version",
    summary: "print the version",
    action: { arguments throws(Wrong) in
      _ = try Options.arguments(arguments, of: .version, max: 0)
      Output.line("tollgate \(Version.text)")
      return .well
    })

  static let helping: Command = Command(
    name: "help", forms: ["[COMMAND]"],
    summary: "print this, or all about one command",
    arguments: .commands,
    action: CommandLineTool.help)

  private static let color = Option(
    "--color", value: .words(["auto", "always", "never"]),
    help: "auto (default) is at a terminal, and not where NO_COLOR is set")
  private static let noColor = Option("--no-color", help: "the same as --color never")
}
