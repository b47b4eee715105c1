-- did_cache.sqlite, migration 001. The reference PDS shares this file, so the text is its own.
CREATE TABLE "did_doc" ("did" varchar primary key, "doc" text not null, "updatedAt" bigint not null);
