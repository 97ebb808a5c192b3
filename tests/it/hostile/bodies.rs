//! F48: bodies that are too large, that do not say how large they are, or that grow when they are unpacked.

use super::{held, raw, raw::Call, rows_of, still, wait_rejected};
use std::collections::BTreeMap;
use testkit::{World, ok_body};

/// `receiver.body_max` of every world: what is set where nobody sets anything.
const BODY_MAX: usize = 8_000_000;

/// How much the process may grow by all of it.
const GROWTH_MAX: usize = 32 << 20;

/// Bytes that may lie in the sockets' buffers when the server hangs up.
const IN_FLIGHT: usize = 16 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_refused_before_it_is_held_in_memory_and_never_unpacked() {
    let world = still().start().await;
    let (id, request) = held(&world, "an owl").await;
    let url = world.server().callbacks();
    let genuine = Call::genuine(&world, &request, ok_body(&request.request_id, b"{}"));
    let before = rows_of(&world, id).await;
    let memory = Memory::of(&world);

    // By its length, before a byte of it is there.
    for length in [BODY_MAX + 1, 50 << 20, usize::try_from(i64::MAX).expect("64 bits")] {
        let mut call = genuine.clone();
        call.add("content-length", length.to_string());
        assert_eq!(raw::status(&raw::exchange(&url, call.head()).await), 413, "{length}");
    }
    let mut chunked = genuine.clone();
    chunked.add("transfer-encoding", "chunked");
    let head = chunked.head();
    // Without a length: one byte too many, and no end at all.
    let size = format!("{:x}\r\n", BODY_MAX + 1);
    let whole = [head.as_slice(), size.as_bytes(), &vec![b' '; BODY_MAX + 1], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(raw::status(&raw::exchange(&url, whole).await), 413);
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
    let (answer, sent) = raw::exchange_endless(&url, head.clone(), &chunk).await;
    assert_eq!(raw::status(&answer), 413);
    assert!(sent < BODY_MAX + IN_FLIGHT, "{sent} bytes were taken");
    // Each byte in a chunk of its own. A slow machine is done with it by the time that a body has, not by its size.
    let small_chunks = b"1\r\n \r\n".repeat(BODY_MAX + 1);
    let (answer, _) = raw::exchange_endless(&url, head.clone(), &small_chunks).await;
    let status = raw::status(&answer);
    assert!(matches!(status, 408 | 413), "in chunks of one byte: {status}");
    let large = if status == 413 { 6 } else { 5 };
    for size in ["fffffffffffffffff", "-1", "g", "1;"] {
        let odd = [head.as_slice(), format!("{size}\r\n").as_bytes(), &[b' '; 64]].concat();
        let status = raw::status(&raw::exchange(&url, odd).await);
        assert!(matches!(status, 0 | 400), "a chunk of {size}: {status}");
    }
    wait_rejected(&world, &BTreeMap::from([("too_large".to_owned(), large)])).await;
    memory.grew_little();
    assert_eq!(rows_of(&world, id).await, before);
    world.sim().release_held();
    world.wait_ended_as(id, "succeeded").await;
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_ever_unpacked() {
    let world = still().start().await;
    let (id, request) = held(&world, "an owl").await;
    let url = world.server().callbacks();
    let bomb = gzip_bomb(1 << 20);
    let before = rows_of(&world, id).await;
    let memory = Memory::of(&world);

    // Signed in earnest, so that nothing but the encoding speaks against it.
    let packed = Call::genuine(&world, &request, bomb.clone());
    let mut expected = BTreeMap::new();
    for coding in
        ["gzip", "GZIP", "x-gzip", "br", "zstd", "deflate", "compress", "gzip, identity", "identity, gzip", "", "a"]
    {
        let mut call = packed.clone();
        call.add("content-encoding", coding);
        assert_eq!(call.send(&url).await, 415, "{coding}");
        *expected.entry("media_type".to_owned()).or_insert(0) += 1;
    }
    let mut twice = packed.clone();
    twice.add("content-encoding", "identity");
    twice.add("content-encoding", "gzip");
    assert_eq!(twice.send(&url).await, 415, "the second of two codings");
    expected.insert("media_type".to_owned(), expected["media_type"] + 1);
    wait_rejected(&world, &expected).await;
    assert_eq!(rows_of(&world, id).await, before);

    // Not said to be packed, it is a body like another that nobody can read: kept as it came, and fal is asked.
    assert_eq!(world.forge(&request, bomb.clone()).await, 200);
    let kept = &world.callbacks("disposition=kept").await[0];
    assert_eq!(
        (kept["cause"].as_str(), kept["body_bytes"].as_u64()),
        (Some("unreadable_body"), Some(bomb.len() as u64))
    );
    let mut plain = Call::genuine(&world, &request, ok_body(&request.request_id, br#"{"seed": 1}"#));
    plain.add("content-encoding", "Identity");
    assert_eq!(plain.send(&url).await, 200);
    memory.grew_little();
    world.wait_ended_as(id, "succeeded").await;
    world.sim().release_held();
    world.drain_and_check().await;
}

/// The peak of a process's resident memory, counted from here.
struct Memory {
    pid: u32,
    before: usize,
}

impl Memory {
    fn of(world: &World) -> Self {
        let pid = world.server().pid().expect("the server runs");
        // 5 sets the peak back to what is there.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("our own child's peak can be set back");
        Self { pid, before: line_of_status(pid, "VmRSS:") }
    }

    #[expect(clippy::print_stdout, reason = "the figures are for whoever reads the run")]
    fn grew_little(&self) {
        let peak = line_of_status(self.pid, "VmHWM:");
        println!("resident: {} kB before, at most {} kB", self.before >> 10, peak >> 10);
        assert!(peak < self.before + GROWTH_MAX, "from {} to {peak} bytes", self.before);
    }
}

fn line_of_status(pid: u32, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB") * 1024
}

/// A gzip stream of about `bytes` that unpacks to 159 times as much: one byte, then "258 times the same again" without end,
/// in a block with the fixed codes of RFC 1951.
fn gzip_bomb(bytes: usize) -> Vec<u8> {
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let (mut bits, mut count) = (0_u32, 0);
    // Least significant bit first; codes are given as they stand in the stream.
    let mut put = |bomb: &mut Vec<u8>, value: u32, width: u32| {
        bits |= value << count;
        count += width;
        while count >= 8 {
            bomb.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            count -= 8;
        }
    };
    put(&mut bomb, 0b011, 3);
    put(&mut bomb, u32::from((0x30_u8 + b' ').reverse_bits()), 8);
    while bomb.len() < bytes {
        // Length 258 is code 285, 11000101; distance 1 is code 0, 00000.
        put(&mut bomb, 0b1010_0011, 8);
        put(&mut bomb, 0, 5);
    }
    bomb
}
