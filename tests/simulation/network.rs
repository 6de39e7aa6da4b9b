//! The network between simulated nodes: connections of bytes in order, each with delays of its own.
//!
//! What is said here about packets is what TCP makes of them: a lost one holds up those behind it, a cut link holds up
//! everything until it is healed or somebody gives the connection up, and only bytes of different connections overtake
//! each other. Nothing happens within one step of the world: every byte is on its way for at least that long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use tokio::sync::{mpsc, oneshot};

use super::event::{Ending, Event, Said};
use super::link_conditions::{CALM, LinkConditions};
use super::stream::End;
use super::trace::Trace;
use crate::proof::random::Random;

/// Milliseconds of true time since the world began.
pub type Millis = u64;

/// Bytes under way or not yet read, of one direction of a connection.
const WINDOW: usize = 64 << 10;
/// A lost packet is sent again after this long, and twice as long if it is lost again.
const RETRANSMIT_MS: u64 = 200;

/// One direction of a connection.
struct Pipe {
    from: u64,
    to: u64,
    arrived: VecDeque<u8>,
    under_way: usize,
    /// When what was sent last arrives: nothing overtakes it.
    latest: Millis,
    /// As the reader knows it.
    ended: Option<Ending>,
    /// As the writer knows it.
    refused: bool,
    /// The reader has closed its end; the writer has closed its end.
    deaf: bool,
    silent: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub struct NetworkState {
    now: Millis,
    step: Millis,
    random: Random,
    pub trace: Trace,
    listening: BTreeMap<u64, mpsc::UnboundedSender<End>>,
    /// Nodes without power: nothing leaves them, and what reaches them is gone.
    dark: BTreeSet<u64>,
    cut: BTreeSet<(u64, u64)>,
    conditions: LinkConditions,
    pipes: BTreeMap<u64, Pipe>,
    due: BTreeMap<(Millis, u64), (u64, u64, Event)>,
    /// What has come to a link that is cut.
    held_up: Vec<(u64, u64, Event)>,
    numbers: u64,
    /// Ends of connections that nobody took: to be dropped when nothing is locked.
    unclaimed: Vec<io::Result<End>>,
    /// Connections dropped in this step: what was written, what was read.
    closed: BTreeSet<(u64, u64)>,
    /// What the nodes said in this step.
    said: Vec<Said>,
}

#[derive(Clone)]
pub struct Network(Arc<Mutex<NetworkState>>);

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    pub fn new(random: Random, step: Millis, trace: Trace) -> Network {
        Network(Arc::new(Mutex::new(NetworkState {
            now: 0,
            step,
            random,
            trace,
            listening: BTreeMap::new(),
            dark: BTreeSet::new(),
            cut: BTreeSet::new(),
            conditions: CALM,
            pipes: BTreeMap::new(),
            due: BTreeMap::new(),
            held_up: Vec::new(),
            numbers: 0,
            unclaimed: Vec::new(),
            closed: BTreeSet::new(),
            said: Vec::new(),
        })))
    }

    pub fn lock(&self) -> MutexGuard<'_, NetworkState> {
        self.0.lock().expect("no panic while locked")
    }

    /// For the trace.
    pub fn note(&self, what: &str) {
        let mut state = self.lock();
        let now = state.now;
        state.trace.text(now, what);
    }

    /// A node begins to listen and replaces an earlier listener of the same id.
    pub fn listen(&self, node: u64) -> mpsc::UnboundedReceiver<End> {
        let (sender, accepted) = mpsc::unbounded_channel();
        let mut state = self.lock();
        state.dark.remove(&node);
        state.listening.insert(node, sender);
        accepted
    }

    /// Everything that happens up to `now`. Those whom it wakes run in the next step.
    pub fn advance(&self, now: Millis) {
        {
            let mut state = self.lock();
            state.close_all();
            state.send_all();
            state.now = now;
        }
        loop {
            let mut state = self.lock();
            match state.due.first_entry() {
                Some(first) if first.key().0 <= now => {
                    let (from, to, event) = first.remove();
                    state.happen(self, from, to, event);
                    let unclaimed = std::mem::take(&mut state.unclaimed);
                    drop(state);
                    drop(unclaimed);
                }
                _ => return,
            }
        }
    }
}

impl NetworkState {
    /// The process has ended: its kernel closes its connections, unless the power is lost.
    pub fn ends(&mut self, node: u64, dark: bool) {
        self.listening.remove(&node);
        if dark {
            self.dark.insert(node);
        }
        // Here and not as they are dropped, because their order there does not follow from the seed.
        let out: Vec<u64> =
            self.pipes.iter().filter(|(_, pipe)| pipe.from == node).map(|(number, _)| *number).collect();
        let into: Vec<u64> = self.pipes.iter().filter(|(_, pipe)| pipe.to == node).map(|(number, _)| *number).collect();
        out.into_iter().for_each(|pipe| self.fall_silent(pipe));
        into.into_iter().for_each(|pipe| self.fall_deaf(pipe));
    }

    pub fn set_conditions(&mut self, conditions: LinkConditions) {
        self.conditions = conditions;
    }

    /// Holds up everything that `from` sends to `to`.
    pub fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    pub fn heal(&mut self, from: u64, to: u64) {
        self.cut.remove(&(from, to));
        let (free, stuck) = std::mem::take(&mut self.held_up).into_iter().partition(|(a, b, _)| (*a, *b) == (from, to));
        self.held_up = stuck;
        let free: Vec<(u64, u64, Event)> = free;
        // Senders find out one by one.
        let mut at = self.now + self.step;
        for (from, to, event) in free {
            at += self.random.next() % 20;
            self.numbers += 1;
            self.due.insert((at, self.numbers), (from, to, event));
        }
    }

    /// How long a packet takes now.
    pub fn delay(&mut self) -> Millis {
        let conditions = self.conditions;
        let mut delay = self.step + conditions.delay_ms + self.random.next() % (conditions.jitter_ms + 1);
        let mut again = RETRANSMIT_MS;
        while conditions.lost > 0 && self.random.next() % 1000 < conditions.lost {
            delay += again;
            again *= 2;
        }
        delay
    }

    pub fn knock(&mut self, from: u64, to: u64, answer: oneshot::Sender<io::Result<End>>) {
        self.said.push(Said { at: self.now, from, to, pipe: None, event: Event::Knock(answer) });
    }

    fn send(&mut self, at: Millis, from: u64, to: u64, event: Event) {
        if !self.dark.contains(&from) {
            self.numbers += 1;
            self.due.insert((at, self.numbers), (from, to, event));
        }
    }

    /// Behind everything that was sent before on the same pipe.
    fn send_on(&mut self, pipe: u64, event: Event) {
        if let Some(way) = self.pipes.get(&pipe) {
            self.said.push(Said { at: self.now, from: way.from, to: way.to, pipe: Some(pipe), event });
        }
    }

    /// Sends what was said in the step before: link by link, because the order in which the tasks of a node had their turn
    /// does not follow from the seed.
    fn send_all(&mut self) {
        let mut said = std::mem::take(&mut self.said);
        said.sort_by_key(|said| (said.at, said.from, said.to, said.pipe));
        for Said { at, from, to, pipe, event } in said {
            let mut at = at + self.delay();
            if let Some(way) = pipe.and_then(|pipe| self.pipes.get_mut(&pipe)) {
                at = at.max(way.latest);
                way.latest = at;
            }
            self.send(at, from, to, event);
        }
    }

    fn happen(&mut self, network: &Network, from: u64, to: u64, event: Event) {
        if self.cut.contains(&(from, to)) {
            return self.held_up.push((from, to, event));
        }
        if self.dark.contains(&to) {
            if let Event::Answer(_, answer) = event {
                self.unclaimed.push(answer);
            }
            return;
        }
        self.trace.delivered(self.now, from, to, &event);
        match event {
            Event::Bytes(pipe, bytes) => self.arrive(pipe, &bytes),
            Event::Ends(pipe, how) => self.end(pipe, how),
            Event::Refuses(pipe) => self.refuse(pipe),
            Event::Answer(asked, answer) => self.unclaimed.extend(asked.send(answer).err()),
            Event::Knock(asked) => self.open(network, from, to, asked),
        }
    }

    fn open(&mut self, network: &Network, from: u64, to: u64, asked: oneshot::Sender<io::Result<End>>) {
        let at = self.now + self.delay();
        let Some(listener) = self.listening.get(&to).cloned() else {
            return self.send(at, to, from, Event::Answer(asked, Err(io::ErrorKind::ConnectionRefused.into())));
        };
        let (there, back) = (self.pipe(from, to), self.pipe(to, from));
        let near = End::new(network.clone(), back, there);
        let far = End::new(network.clone(), there, back);
        self.unclaimed.extend(listener.send(far).err().map(|unheard| Ok(unheard.0)));
        self.send(at, to, from, Event::Answer(asked, Ok(near)));
    }

    fn pipe(&mut self, from: u64, to: u64) -> u64 {
        self.numbers += 1;
        let pipe = Pipe {
            from,
            to,
            arrived: VecDeque::new(),
            under_way: 0,
            latest: 0,
            ended: None,
            refused: false,
            deaf: false,
            silent: false,
            reader: None,
            writer: None,
        };
        self.pipes.insert(self.numbers, pipe);
        self.numbers
    }

    fn arrive(&mut self, number: u64, bytes: &[u8]) {
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        pipe.under_way -= bytes.len();
        if pipe.deaf {
            let (from, to) = (pipe.to, pipe.from);
            let at = self.now + self.delay();
            return self.send(at, from, to, Event::Refuses(number));
        }
        if pipe.ended.is_none() {
            pipe.arrived.extend(bytes);
        }
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        if self.conditions.broken > 0 && self.random.next() % 1000 < self.conditions.broken {
            self.end(number, Ending::Broken);
        }
    }

    fn end(&mut self, number: u64, how: Ending) {
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        pipe.ended.get_or_insert(how);
        pipe.reader.take().into_iter().for_each(Waker::wake);
    }

    fn refuse(&mut self, number: u64) {
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        pipe.refused = true;
        pipe.writer.take().into_iter().for_each(Waker::wake);
    }

    /// Bytes that have arrived; `Ok(0)` at the end, `None` while there are none.
    pub fn read(&mut self, number: u64, room: usize, waker: &Waker) -> Option<io::Result<Vec<u8>>> {
        let Some(pipe) = self.pipes.get_mut(&number) else {
            return Some(Err(io::ErrorKind::ConnectionReset.into()));
        };
        if pipe.arrived.is_empty() {
            return match pipe.ended {
                Some(Ending::Closed) => Some(Ok(Vec::new())),
                Some(Ending::Broken) => Some(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    pipe.reader = Some(waker.clone());
                    None
                }
            };
        }
        let count = room.min(pipe.arrived.len());
        let bytes = pipe.arrived.drain(..count).collect();
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Some(Ok(bytes))
    }

    pub fn write(&mut self, number: u64, bytes: &[u8], waker: &Waker) -> Option<io::Result<usize>> {
        let Some(pipe) = self.pipes.get_mut(&number) else { return Some(Err(io::ErrorKind::BrokenPipe.into())) };
        if pipe.refused {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = WINDOW.saturating_sub(pipe.under_way + pipe.arrived.len());
        if room == 0 {
            pipe.writer = Some(waker.clone());
            return None;
        }
        let count = room.min(bytes.len());
        pipe.under_way += count;
        self.send_on(number, Event::Bytes(number, bytes[..count].to_vec()));
        Some(Ok(count))
    }

    /// One end of a connection is dropped. Done at the end of the step: in which order a node drops its connections does not follow from the seed.
    pub fn close(&mut self, read: u64, write: u64) {
        self.closed.insert((write, read));
    }

    fn close_all(&mut self) {
        for (write, read) in std::mem::take(&mut self.closed) {
            self.fall_silent(write);
            self.fall_deaf(read);
        }
    }

    fn fall_silent(&mut self, number: u64) {
        let Some(pipe) = self.pipes.get_mut(&number).filter(|pipe| !pipe.silent) else { return };
        pipe.silent = true;
        match pipe.deaf {
            true => drop(self.pipes.remove(&number)),
            false => self.send_on(number, Event::Ends(number, Ending::Closed)),
        }
    }

    fn fall_deaf(&mut self, number: u64) {
        let Some(pipe) = self.pipes.get_mut(&number).filter(|pipe| !pipe.deaf) else { return };
        pipe.deaf = true;
        pipe.arrived.clear();
        if pipe.silent {
            self.pipes.remove(&number);
        }
    }
}
