use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

/// The example `conformance`, as a process.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(program: &Path, redis: &str, ledger: &Path) -> Self {
        let mut process = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--unknown-outcome", "refuse"])
            .args(["--store", redis, "--ledger"])
            .arg(ledger)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let output = process.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a line from the server");
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        Self {
            process,
            address: address.unwrap_or_else(|| panic!("the server says {line:?}")),
        }
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let id = self.process.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status();
        if !told.is_ok_and(|status| status.success()) {
            return Err("there is no kill command".to_owned());
        }
        let status = self.process.wait().map_err(|error| error.to_string())?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| format!("the server ended with {status}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
