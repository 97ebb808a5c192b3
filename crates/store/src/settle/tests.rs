//! What is recorded of an attempt and its job, through the database.

mod callbacks;
mod cancels;
mod guards;
mod hostile;
mod late;
mod money;
mod races;
mod repeats;
mod rulings;
mod users;
