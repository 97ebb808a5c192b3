//! Operations with what is open about them drawn.

use super::ops::{End, Key, No, Op, REPLIES, Reply, SIGHTS, Sight, Spec, Twist};
use domain::{OnUnknown, Resolution};
use proptest::{prelude::*, sample::select, strategy::BoxedStrategy};

pub(super) fn accept() -> impl Strategy<Value = Op> {
    let policy = select(vec![OnUnknown::Patient, OnUnknown::Impatient, OnUnknown::Impatient, OnUnknown::Operator]);
    let sometimes = |strategy: BoxedStrategy<i64>| prop_oneof![8 => Just(None), 1 => strategy.prop_map(Some)];
    let delay = sometimes(select(vec![17i64, 602]).boxed());
    let useful = sometimes(select(vec![42i64, 1_202, 1_202]).boxed());
    let key = (0u8..2, 0u8..2, any::<bool>()).prop_map(|(name, body, reset)| Key { name, body, reset });
    let key = prop_oneof![3 => Just(None), 1 => key.prop_map(Some)];
    let unique = prop_oneof![4 => Just(None), 1 => (0u8..2).prop_map(Some)];
    let spec = (policy, select(vec![1u16, 2, 3, 3]), -1i64..2, delay, useful, key, unique);
    let spec = spec.prop_map(|(on_unknown, attempts_max, priority, delay, useful, key, unique)| Spec {
        on_unknown,
        attempts_max,
        priority,
        delay,
        useful,
        key,
        unique,
    });
    (prop::collection::vec(spec, 1..4), prop::bool::weighted(0.9))
        .prop_map(|(jobs, committed)| Op::Accept { jobs, committed })
}

pub(super) fn post(attempt: No) -> BoxedStrategy<Op> {
    let reply = prop_oneof![4 => Just(Reply::Takes), 6 => Just(Reply::TakesUnheard), 4 => select(REPLIES.to_vec())];
    reply.prop_map(move |reply| Op::Post { attempt, reply }).boxed()
}

pub(super) fn finish(run: No) -> BoxedStrategy<Op> {
    let end = prop_oneof![
        4 => (0u8..3).prop_map(End::Ok),
        3 => select(vec![End::Passing, End::Lasting, End::Billed, End::Stopped]),
    ];
    end.prop_map(move |end| Op::Finish { run, end }).boxed()
}

pub(super) fn call(attempt: No) -> BoxedStrategy<Op> {
    let odd = vec![
        Twist::Spaced,
        Twist::NullPayload,
        Twist::Unreadable,
        Twist::Stale,
        Twist::WrongUser,
        Twist::OtherResult,
        Twist::OtherEnd,
        Twist::ForNobody,
    ];
    let twist = prop_oneof![3 => Just(Twist::Plain), 4 => select(odd)];
    (twist, 1u8..4).prop_map(move |(twist, copies)| Op::Call { attempt, twist, copies }).boxed()
}

pub(super) fn look(attempt: No) -> BoxedStrategy<Op> {
    let sight = prop_oneof![3 => Just(Sight::Truth), 3 => Just(Sight::NoHistory), 1 => Just(Sight::TooLarge), 3 => select(SIGHTS.to_vec())];
    sight.prop_map(move |sight| Op::Look { attempt, sight }).boxed()
}

pub(super) fn cancel(job: No) -> BoxedStrategy<Op> {
    prop::bool::weighted(0.9).prop_map(move |ours| Op::Cancel { job, ours }).boxed()
}

pub(super) fn resolve(job: No) -> BoxedStrategy<Op> {
    select(Resolution::ALL.to_vec()).prop_map(move |how| Op::Resolve { job, how }).boxed()
}
