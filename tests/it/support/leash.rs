use std::process::{Child, Command, Stdio};

/// Ends a process with this one, however this one ends: a small shell waits for that.
#[derive(Debug)]
pub(crate) struct Leash(Child);

impl Leash {
    pub(crate) fn on(process: u32) -> Self {
        // The pipe closes with this process, or when the leash is dropped, which kills the shell first.
        let shell = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\"", &process.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(shell.expect("there is a shell"))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // It cannot have ended before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
