use std::{collections::VecDeque, future::pending, io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::sleep,
};

use super::{
    Fault, Plan,
    resp::{Values, words},
};

/// One connection through a proxy.
pub(super) struct Line {
    plan: Arc<Plan>,
    upstream: u16,
}

/// What the client is to get, in the order of its commands.
enum Due {
    /// What the server answers.
    Answer,
    /// What the server answers, after something is done to it.
    Spoilt(Fault),
    /// This, and the server knows nothing of it.
    Instead(String),
}

/// The connection is to be closed.
fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl Line {
    pub(super) const fn new(plan: Arc<Plan>, upstream: u16) -> Self {
        Self { plan, upstream }
    }

    /// Passes commands and answers until either side closes, or a fault does.
    pub(super) async fn pass(self, client: TcpStream, server: TcpStream) -> io::Result<()> {
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        let (due, expected) = mpsc::unbounded_channel();
        let there = self.commands(from_client, to_server, due);
        let back = answers(from_server, to_client, expected);
        tokio::select! {
            ended = there => ended,
            ended = back => ended,
        }
    }

    async fn commands(
        &self,
        client: OwnedReadHalf,
        mut server: OwnedWriteHalf,
        due: mpsc::UnboundedSender<Due>,
    ) -> io::Result<()> {
        let mut commands = Values::of(client);
        while let Some(command) = commands.next().await? {
            let words = words(&command);
            if words[0].eq_ignore_ascii_case(b"SUBSCRIBE") {
                // From here on answers belong to no command.
                drop(due);
                server.write_all(&command).await?;
                let (rest, mut client) = commands.into_rest();
                server.write_all(&rest).await?;
                copy(&mut client, &mut server).await?;
                return Ok(());
            }
            let fault = self.plan.fault_for(&words);
            let then = match fault {
                None => Due::Answer,
                Some(Fault::CutBefore) => return Err(broken()),
                Some(Fault::Reorder(pause)) => {
                    tokio::spawn(deliver(self.upstream, command, pause));
                    return Err(broken());
                }
                Some(Fault::Repeat(pause)) => {
                    tokio::spawn(deliver(self.upstream, command.clone(), pause));
                    Due::Answer
                }
                Some(Fault::Refuse(error)) => {
                    // Nobody is at the other end any more: the client will see that.
                    let _ = due.send(Due::Instead(error.to_owned()));
                    continue;
                }
                Some(fault) => Due::Spoilt(fault),
            };
            let _ = due.send(then);
            server.write_all(&command).await?;
        }
        Ok(())
    }
}

/// Has a server get a command later, on a connection of its own.
async fn deliver(upstream: u16, command: Bytes, pause: Duration) {
    sleep(pause).await;
    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", upstream)).await {
        // The tests look at what comes of it.
        let _ = server.write_all(&command).await;
        let _ = server.read(&mut [0; 1024]).await;
    }
}

async fn answers(
    server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    mut expected: mpsc::UnboundedReceiver<Due>,
) -> io::Result<()> {
    let mut answers = Values::of(server);
    let mut due = VecDeque::new();
    let mut kept_back = None;
    loop {
        while let Ok(next) = expected.try_recv() {
            due.push_back(next);
        }
        while let Some(Due::Instead(error)) = due.front() {
            client.write_all(format!("-{error}\r\n").as_bytes()).await?;
            due.pop_front();
        }
        let answer = tokio::select! {
            next = expected.recv() => {
                match next {
                    Some(next) => due.push_back(next),
                    // Subscribed: all else passes as it comes.
                    None => return pass_all(answers, client).await,
                }
                continue;
            }
            answer = answers.next() => answer?,
        };
        let Some(answer) = answer else {
            return Ok(());
        };
        if answer.starts_with(b">") {
            client.write_all(&answer).await?;
            continue;
        }
        // A command is known before its answer.
        while let Ok(next) = expected.try_recv() {
            due.push_back(next);
        }
        match due.pop_front() {
            Some(Due::Spoilt(Fault::Lose)) => {}
            Some(Due::Spoilt(Fault::Swap)) if kept_back.is_none() => kept_back = Some(answer),
            Some(Due::Spoilt(fault)) if fault != Fault::Swap => {
                spoil(fault, &answer, &mut client).await?;
            }
            _ => {
                client.write_all(&answer).await?;
                if let Some(first) = kept_back.take() {
                    client.write_all(&first).await?;
                }
            }
        }
    }
}

async fn pass_all(answers: Values<OwnedReadHalf>, mut client: OwnedWriteHalf) -> io::Result<()> {
    let (rest, mut server) = answers.into_rest();
    client.write_all(&rest).await?;
    copy(&mut server, &mut client).await?;
    Ok(())
}

async fn spoil(fault: Fault, answer: &[u8], client: &mut OwnedWriteHalf) -> io::Result<()> {
    match fault {
        Fault::CutAfter => Err(broken()),
        Fault::CutWithin => {
            client.write_all(&answer[..answer.len() / 2]).await?;
            Err(broken())
        }
        Fault::Delay(pause) => {
            sleep(pause).await;
            client.write_all(answer).await
        }
        Fault::Trickle(pause) => {
            for byte in answer {
                client.write_all(&[*byte]).await?;
                sleep(pause).await;
            }
            Ok(())
        }
        Fault::Swallow => pending().await,
        Fault::Deny(error) => client.write_all(format!("-{error}\r\n").as_bytes()).await,
        other => unreachable!("{other:?} is nothing that is done to an answer"),
    }
}
