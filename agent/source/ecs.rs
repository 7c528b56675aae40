//! src-ecs
