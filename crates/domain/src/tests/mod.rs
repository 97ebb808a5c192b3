//! Tests of the machine as a whole: all of it on one page, against the rulings, and along random histories.

mod adoptions;
mod edges;
mod histories;
mod rulings;
mod states_page;
mod steps;
mod stories;
mod whole_machine;
mod world;
