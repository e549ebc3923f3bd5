-- The library's own tables, a schema for each index, and the type of vectors where both find it.
create schema library;
create table library.books (id bigint generated always as identity primary key, title text, file text not null);
create table library.letters (id uuid default gen_random_uuid() primary key, scan text not null);
create schema books_index;
create schema letters_index;
create extension if not exists vector schema public;
