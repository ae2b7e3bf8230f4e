//! Hostile input and hostile receivers: the catalogue's faults 37 to 63, each
//! shown by tests named after it, here and beside what they concern.
//!
//! Three stages serve them. The simulation (`sim`) has virtual time and
//! scripted receivers. `stage` has a node in time that stands still, whose
//! receivers are real sockets. `measured` has the real program, whose memory and
//! descriptors are looked at from outside.

mod bodies;
mod failing;
mod fidelity;
mod floods;
mod framing;
mod handshake;
mod http2;
mod measured;
mod outages;
mod overload;
mod repeats;
mod signatures;
mod sizes;
mod slow;
mod stage;
mod stalling;
mod statuses;
