//! What tokio's broadcast channel really does: `ops SEED COUNT CAPACITY...` hashes the results of random calls,
//! `spin MILLIS CAPACITY` and `bursts MILLIS CAPACITY` write the log of a real receiver in the words of artemis.

use std::env::args;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

/// SplitMix64, the same few lines as in the test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn fnv(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x0000_0100_0000_01B3)
}

/// Sends in lots of 0 to 2 x capacity, reads in lots, from two receivers; each result goes into one hash.
fn ops(seed: u64, count: u64, capacity: usize) -> u64 {
    let mut random = Random(seed);
    let (sender, first) = broadcast::channel::<u64>(capacity);
    let mut receivers = [first, sender.subscribe()];
    let (mut hash, mut sent) = (0xCBF2_9CE4_8422_2325, 0u64);
    for _ in 0..count {
        let choice = random.next();
        if choice % 4 == 0 {
            for _ in 0..(choice >> 8) % (2 * capacity as u64 + 1) {
                sender.send(sent).unwrap();
                sent += 1;
            }
            continue;
        }
        hash = match receivers[(choice >> 2) as usize % 2].try_recv() {
            Ok(message) => fnv(fnv(hash, 1), message),
            Err(TryRecvError::Lagged(lost)) => fnv(fnv(hash, 2), lost),
            Err(TryRecvError::Empty) => fnv(hash, 3),
            Err(TryRecvError::Closed) => unreachable!(),
        };
    }
    hash
}

/// A receiver that handles an event in `handler` and prints a line at each lag, as artemis' strategies do.
async fn strategy(
    mut receiver: broadcast::Receiver<u64>,
    handler: Duration,
    until: Instant,
) -> (u64, u64, broadcast::Receiver<u64>) {
    let (mut received, mut lost) = (0u64, 0u64);
    while Instant::now() < until {
        match receiver.recv().await {
            Ok(_) => {
                received += 1;
                std::thread::sleep(handler);
            }
            Err(error) => {
                tracing::error!(target: "artemis_core::engine", "error receiving event: {error}");
                match error {
                    RecvError::Lagged(missed) => lost += missed,
                    RecvError::Closed => break,
                }
            }
        }
    }
    (received, lost, receiver)
}

fn main() {
    let words: Vec<String> = args().skip(1).collect();
    let number = |place: usize| words[place].parse::<u64>().unwrap();
    if words[0] == "ops" {
        for capacity in &words[3..] {
            println!("{:016x}", ops(number(1), number(2), capacity.parse().unwrap()));
        }
        return;
    }
    tracing_subscriber::fmt().with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let until = Instant::now() + Duration::from_millis(number(1));
    let (sender, receiver) = broadcast::channel::<u64>(number(2) as usize);
    let spinning = words[0] == "spin";
    let handler = Duration::from_millis(if spinning { 40 } else { 1 });
    let reader = std::thread::spawn(move || runtime.block_on(strategy(receiver, handler, until)));
    let mut sent = 0u64;
    while Instant::now() < until {
        let _ = sender.send(sent);
        sent += 1;
        if !spinning {
            std::thread::sleep(Duration::from_micros(if sent % 4096 < 2048 { 100 } else { 3000 }));
        }
    }
    let _ = sender.send(sent);
    let (received, lost, receiver) = reader.join().unwrap();
    eprintln!("sent {} received {received} lost {lost} left {}", sent + 1, receiver.len());
}
