//! Redis servers of the tests' own: each on a free port, in a directory of its own, gone with the
//! value that stands for it.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::leash::Leash;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `redis-server`.
#[derive(Debug)]
pub(crate) struct RedisServer {
    pub(crate) port: u16,
    directory: PathBuf,
    args: Vec<String>,
    process: Child,
    leash: Leash,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server whose acknowledged writes survive a kill.
    pub(crate) fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts a server with these arguments too.
    pub(crate) fn with(args: &[&str]) -> Self {
        Self::of("redis-server", args)
    }

    /// Starts a durable server of every version there is: the system's, and those that
    /// `REDIS_SERVERS` names, with colons between.
    pub(crate) fn of_every_version() -> Vec<Self> {
        let others = std::env::var("REDIS_SERVERS").unwrap_or_default();
        let others = others.split(':').filter(|program| !program.is_empty());
        std::iter::once("redis-server")
            .chain(others)
            .map(|program| Self::of(program, &["--appendonly", "yes", "--appendfsync", "always"]))
            .collect()
    }

    /// Starts a program that takes `redis-server`'s arguments, and waits until it answers.
    pub(crate) fn of(program: impl AsRef<OsStr>, args: &[&str]) -> Self {
        Self::start_in(new_directory(), program.as_ref(), &[], args)
    }

    /// Starts a Sentinel that watches a master called `main`, two of them deciding.
    pub(crate) fn sentinel(master: u16) -> Self {
        let directory = new_directory();
        let settings = format!(
            "sentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds main 1000\n\
             sentinel failover-timeout main 5000\n"
        );
        let file = directory.join("sentinel.conf");
        fs::write(&file, settings).expect("a file");
        let file = file.display().to_string();
        Self::start_in(
            directory,
            "redis-server".as_ref(),
            &[&file, "--sentinel"],
            &[],
        )
    }

    fn start_in(directory: PathBuf, program: &OsStr, first: &[&str], args: &[&str]) -> Self {
        // Somebody may take a free port before the server does.
        for _ in 0..10 {
            let port = free_port();
            let mut all: Vec<_> = first.iter().map(ToString::to_string).collect();
            all.extend(arguments(port, &directory, args));
            let args = all;
            if let Some(process) = spawn(program, &args, port) {
                return Self {
                    port,
                    directory,
                    args,
                    leash: Leash::on(process.id()),
                    process,
                };
            }
        }
        let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
        panic!("redis-server does not start with {args:?}:\n{log}");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn unix_url(&self) -> String {
        format!("unix://{}", self.directory.join("socket").display())
    }

    /// The directory in which it runs.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills the server at once.
    pub(crate) fn kill(&mut self) {
        self.stop_process();
    }

    /// Starts a killed server again, on the same port and with the same files.
    pub(crate) fn restart(&mut self) {
        self.stop_process();
        for _ in 0..10 {
            if let Some(process) = spawn("redis-server".as_ref(), &self.args, self.port) {
                self.leash = Leash::on(process.id());
                self.process = process;
                return;
            }
        }
        panic!("redis-server does not start again on port {}", self.port);
    }

    /// Stops the server in its tracks: it keeps its connections and answers nothing.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.pid().to_string()])
            .status()
            .expect("there is a kill command");
        assert!(status.success(), "kill {signal} {}", self.pid());
    }

    /// Sends a command on a connection of its own, and returns the answer as it came.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let answer = command(self.port, words).expect("the server answers");
        assert!(!answer.starts_with('-'), "{words:?}: {answer}");
        answer
    }

    /// Sends a command and returns the answer's lines without their lengths.
    pub(crate) fn lines(&self, words: &[&str]) -> Vec<String> {
        let answer = self.command(words);
        let lines = answer.lines().filter(|line| !line.starts_with(['*', '$']));
        lines.map(ToOwned::to_owned).collect()
    }

    /// Reads a number from the server's `INFO`.
    pub(crate) fn info(&self, field: &str) -> u64 {
        self.field(field).parse().expect("a number")
    }

    pub(crate) fn is_master(&self) -> bool {
        self.lines(&["ROLE"]).iter().any(|line| line == "master")
    }

    pub(crate) fn version(&self) -> String {
        format!("Redis {}", self.field("redis_version"))
    }

    fn field(&self, field: &str) -> String {
        let lines = self.lines(&["INFO", "everything"]);
        let value = lines
            .iter()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = value.unwrap_or_else(|| panic!("INFO has no {field}"));
        value.trim().to_owned()
    }

    fn stop_process(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop_process();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn arguments(port: u16, directory: &Path, more: &[&str]) -> Vec<String> {
    let path = |name: &str| directory.join(name).display().to_string();
    let port = port.to_string();
    let (socket, log, directory) = (path("socket"), path("log"), path(""));
    let own = [
        ("--port", port.as_str()),
        ("--bind", "127.0.0.1"),
        ("--unixsocket", &socket),
        ("--dir", &directory),
        ("--logfile", &log),
        ("--save", ""),
        ("--daemonize", "no"),
    ];
    let own = own.into_iter().flat_map(|(name, value)| [name, value]);
    own.chain(more.iter().copied())
        .map(ToOwned::to_owned)
        .collect()
}

/// Starts a server and waits until it answers; none if it ended instead.
fn spawn(program: &OsStr, args: &[String], port: u16) -> Option<Child> {
    let spawned = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut process = spawned.unwrap_or_else(|error| {
        let program = Path::new(program).display();
        panic!("{program} cannot be started ({error}): install redis-server, or run tests/run.sh")
    });
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if matches!(process.try_wait(), Ok(Some(_))) {
            return None;
        }
        match command(port, &["PING"]) {
            Ok(answer) if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") => {
                return Some(process);
            }
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}

/// Makes an empty directory that no other test uses.
pub(crate) fn new_directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tower-idempotency-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory for temporary files");
    directory
}

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

/// Sends one command to a server and returns its first answer as it came.
pub(crate) fn command(port: u16, words: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(request, "${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(request.as_bytes())?;
    // Sentinel knows no `QUIT`.
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
