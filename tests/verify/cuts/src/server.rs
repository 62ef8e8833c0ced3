use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// This program as a server.
pub(crate) struct Server {
    process: Child,
    lines: Receiver<String>,
    pub(crate) address: SocketAddr,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) body: String,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, String> {
        let mut process = Command::new(env::current_exe().map_err(|error| error.to_string())?)
            .arg("serve")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let output = process.stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let address = lines.recv_timeout(PATIENCE).ok();
        let address = address.and_then(|address| address.parse().ok());
        Ok(Self {
            process,
            lines,
            address: address.ok_or("the server does not start")?,
        })
    }

    pub(crate) fn wait_for_the_cut(&self) -> Result<(), String> {
        let line = self.lines.recv_timeout(PATIENCE);
        line.map(drop).map_err(|_| "never got there".to_owned())
    }

    pub(crate) fn go_on(&mut self) {
        // It may have ended by itself, which will be seen.
        let _ = self
            .process
            .stdin
            .as_mut()
            .expect("a pipe")
            .write_all(b"go\n");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a request; none where no whole answer comes.
pub(crate) fn charge(address: SocketAddr, key: &str, status: u16, ms: u64) -> Option<Answer> {
    let fields = format!("idempotency-key: {key}\r\nx-status: {status}\r\nx-ms: {ms}");
    let answer = ask(address, "POST", "/charge", &fields)?;
    // The handler's own says how it ends, and a problem is one object.
    (answer.body.ends_with("whole\n") || answer.body.ends_with('}') || answer.status == 500)
        .then_some(answer)
}

/// Sends a request on a connection of its own, of HTTP/1.0: an answer ends with the connection.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, fields: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("{method} {path} HTTP/1.0\r\n{fields}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        replayed: head.contains("idempotency-replayed: true"),
        body: body.to_owned(),
    })
}
