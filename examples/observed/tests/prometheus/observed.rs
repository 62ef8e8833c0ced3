use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::leash::Leash;

/// The example, until it is dropped.
pub(crate) struct Observed {
    _leash: Leash,
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Observed {
    pub(crate) fn quiet() -> Self {
        Self::start(&[])
    }

    /// Has everything happen to it once in every so many seconds.
    pub(crate) fn in_trouble(seconds: u16) -> Self {
        Self::start(&["--trouble", &seconds.to_string()])
    }

    fn start(args: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_observed"))
            .arg("127.0.0.1:0")
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let leash = Leash::on(process.id());
        let mut first = String::new();
        let output = process.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        Self {
            _leash: leash,
            process,
            address: address.unwrap_or_else(|| panic!("it began with {first:?}")),
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
