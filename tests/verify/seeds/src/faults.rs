use fastrand::Rng;
use turmoil::Sim;

use crate::{CLIENTS, SERVERS, ledger::Ledger};

/// What goes wrong on the network and with the hosts.
#[derive(Debug)]
pub(crate) struct Faults {
    rng: Rng,
    ledger: Ledger,
    /// Whether the store may lose its memory in this seed.
    loses: bool,
    crashed: Vec<&'static str>,
    cut: Vec<(String, String)>,
    held: Vec<(String, String)>,
    made: usize,
    mended: bool,
}

/// One of so many steps brings a fault.
const RARE: u32 = 120;

impl Faults {
    pub(crate) fn new(mut rng: Rng, ledger: Ledger) -> Self {
        Self {
            loses: rng.u8(..8) == 0,
            rng,
            ledger,
            crashed: Vec::new(),
            cut: Vec::new(),
            held: Vec::new(),
            made: 0,
            mended: false,
        }
    }

    pub(crate) const fn made(&self) -> usize {
        self.made
    }

    /// Has something go wrong, or end to go wrong, now and then.
    pub(crate) fn step(&mut self, sim: &mut Sim<'_>) {
        if self.rng.u32(..RARE) > 0 {
            return;
        }
        self.made += 1;
        match self.rng.u8(..10) {
            0 | 1 => {
                let (a, b) = self.link();
                self.note(format!("cut {a} {b}"));
                sim.partition(&*a, &*b);
                self.cut.push((a, b));
            }
            2 | 3 => {
                let (a, b) = self.link();
                self.note(format!("hold {a} {b}"));
                sim.hold(&*a, &*b);
                self.held.push((a, b));
            }
            4 => self.repair(sim),
            5 => self.release(sim),
            6 => {
                let server = SERVERS[self.rng.usize(..SERVERS.len())];
                if !self.crashed.contains(&server) {
                    self.note(format!("crash {server}"));
                    sim.crash(server);
                    self.crashed.push(server);
                }
            }
            7 | 8 => {
                self.restart(sim);
                self.release(sim);
                self.repair(sim);
            }
            _ if self.loses => {
                self.note("the store loses its memory".to_owned());
                self.ledger.book().lost = true;
                sim.crash("store");
                sim.bounce("store");
            }
            _ => {}
        }
    }

    /// Mends all that is wrong.
    pub(crate) fn mend(&mut self, sim: &mut Sim<'_>) {
        if self.mended {
            return;
        }
        self.mended = true;
        while !self.cut.is_empty() {
            self.repair(sim);
        }
        while !self.held.is_empty() {
            self.release(sim);
        }
        while !self.crashed.is_empty() {
            self.restart(sim);
        }
    }

    /// Draws two hosts that talk to each other.
    fn link(&mut self) -> (String, String) {
        let server = SERVERS[self.rng.usize(..SERVERS.len())].to_owned();
        let other = match self.rng.usize(..CLIENTS * 2) {
            client @ 0..CLIENTS => format!("client-{client}"),
            _ => "store".to_owned(),
        };
        (server, other)
    }

    fn repair(&mut self, sim: &mut Sim<'_>) {
        if let Some((a, b)) = self.cut.pop() {
            self.note(format!("repair {a} {b}"));
            sim.repair(&*a, &*b);
        }
    }

    fn release(&mut self, sim: &mut Sim<'_>) {
        if let Some((a, b)) = self.held.pop() {
            self.note(format!("release {a} {b}"));
            sim.release(&*a, &*b);
        }
    }

    fn restart(&mut self, sim: &mut Sim<'_>) {
        if let Some(server) = self.crashed.pop() {
            self.note(format!("restart {server}"));
            sim.bounce(server);
        }
    }

    fn note(&self, event: String) {
        self.ledger.book().note(event);
    }
}
