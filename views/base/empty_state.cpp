// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/base/empty_state.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

namespace rankscope::views
{

EmptyState::EmptyState(QWidget* parent)
    : QWidget(parent),
      m_title(new QLabel(this)),
      m_text(new QLabel(this)),
      m_newRun(new QPushButton(tr("New run"), this)),
      m_open(new QPushButton(tr("Open a run or snapshot…"), this))
{
    setAutoFillBackground(true);
    setBackgroundRole(QPalette::Base);
    QFont large = font();
    large.setPointSizeF(large.pointSizeF() * 1.35);
    large.setBold(true);
    m_title->setFont(large);
    m_title->setAlignment(Qt::AlignCenter);
    m_text->setAlignment(Qt::AlignCenter);
    m_text->setWordWrap(true);
    m_text->setMaximumWidth(560);
    m_newRun->setToolTip(tr("Choose a model, data and a family, and start a fine-tune (Ctrl+N)"));
    m_newRun->setProperty("primary", true);
    m_open->setToolTip(
        tr("Open a run directory or an HDF5 snapshot (Ctrl+O); dropping one on the window works too"));
    auto* buttons = new QHBoxLayout;
    buttons->setSpacing(8);
    buttons->addStretch(1);
    buttons->addWidget(m_newRun);
    buttons->addWidget(m_open);
    buttons->addStretch(1);
    auto* column = new QVBoxLayout(this);
    column->setSpacing(12);
    column->addStretch(2);
    column->addWidget(m_title);
    auto* middle = new QHBoxLayout; // in a row of its own the text gets the height that its width asks for
    middle->addStretch(1);
    middle->addWidget(m_text, 4);
    middle->addStretch(1);
    column->addLayout(middle);
    column->addLayout(buttons);
    column->addStretch(3);
    connect(m_newRun, &QPushButton::clicked, this, &EmptyState::newRunRequested);
    connect(m_open, &QPushButton::clicked, this, &EmptyState::openRequested);
}

void EmptyState::setText(const QString& title, const QString& text)
{
    m_title->setText(title);
    m_text->setText(text);
}

void EmptyState::setActionsShown(bool shown)
{
    m_newRun->setVisible(shown);
    m_open->setVisible(shown);
}

} // namespace rankscope::views
